//! Tests of the command-line program, in one test binary.

mod arguments;
mod batches;
mod common;
mod destinations;
mod embed;
mod known_speakers;
mod models;
#[cfg(unix)]
mod needs_chromium;
mod ops;
#[cfg(unix)]
mod readme;
mod regions;
mod results;
mod runs;
mod sample;
mod scores;
mod settings;
mod show;
mod transcript_faults;
mod transcripts;
mod tune;
