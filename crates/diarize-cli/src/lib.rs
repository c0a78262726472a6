//! The parts of the `diarize` command: arguments, audio decoding, output formats, the loop over files.
//!
//! Programs that want speaker diarization use the crate `diarize`; this one only dresses it for
//! the command line.

pub mod args;
pub mod audio;
pub mod output;
pub mod progress;
pub mod run;
