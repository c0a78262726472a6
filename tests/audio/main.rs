//! Tests of diarize-audio.

mod broken_files;
mod formats;
mod inputs;
mod resampling;
mod streaming;
