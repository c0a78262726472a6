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
mod separate_channels;
mod settings;
mod show;
mod split;
mod transcripts;
mod tune;
