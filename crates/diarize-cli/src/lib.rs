//! The parts of the program `diarize`: its commands, output formats, the loop over files.
//!
//! Programs that want speaker diarization use the crate `diarize`; this one only dresses it for
//! the command line.

pub mod commands;
pub mod config;
pub mod database;
pub mod excerpts;
pub mod failure;
pub mod input;
pub mod inputs;
pub mod interrupt;
pub mod labels;
pub mod model;
pub mod names;
pub mod order;
pub mod output;
pub mod overrides;
pub mod progress;
pub mod run;
pub mod session;
pub mod source;
pub mod timeline;
pub mod transcript;
pub mod voice_embedder;
