//! The parts of the program `diarize`: its commands, output formats and the loop over files.
//!
//! This crate is only the command line. To use speaker diarization in a program, use the crate `diarize`.

pub mod audio_args;
pub mod commands;
pub mod config;
pub mod database;
pub mod eaf;
pub mod excerpts;
pub mod failure;
mod first_impression;
pub mod input;
pub mod inputs;
pub mod interrupt;
pub mod kept;
pub mod labels;
#[cfg(feature = "words")]
mod languages;
pub mod listening;
mod lock;
pub mod model;
pub mod names;
pub mod numbers;
pub mod order;
pub mod output;
pub mod overrides;
#[cfg(feature = "words")]
mod partial;
pub mod pipelines;
pub mod program;
pub mod progress;
#[cfg(feature = "words")]
pub mod recognition;
pub mod run;
pub mod session;
pub mod source;
pub mod speaker_count;
pub mod stm;
mod stopping;
mod summary;
pub mod text;
pub mod timeline;
pub mod transcript;
pub mod voice_embedder;
pub mod warnings;
mod wordless;
