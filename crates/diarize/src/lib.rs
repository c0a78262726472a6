//! Who spoke when: pyannote's speaker diarization pipeline in pure Rust.
//!
//! ```no_run
//! use diarize::{Device, Diarizer};
//!
//! # fn samples() -> Vec<f32> { Vec::new() }
//! let diarizer = Diarizer::load("path/to/model", Device::auto())?;
//! let diarization = diarizer.diarize(&samples())?; // 16 kHz, one channel
//! for turn in &diarization.turns {
//!     println!("{:.1} s to {:.1} s: {}", turn.start, turn.end, turn.speaker);
//! }
//! # Ok::<(), diarize::Error>(())
//! ```
//!
//! Samples go in and turns come out; decoding files is left to the caller (or the `diarize`
//! program), and so is the network: a model is a directory (see [`model`]).

#![forbid(unsafe_code)]

mod chunks;
pub mod clustering;
pub mod confidence;
mod device;
mod diarization;
mod embedding;
mod error;
pub mod frames;
mod inference;
pub mod model;
pub mod ops;
mod options;
mod pipeline;
pub mod reconstruct;
pub mod scoring;
mod segmentation;
pub mod turns;
#[cfg(feature = "unstable")]
pub mod unstable;
pub mod voices;

pub use ndarray;

pub use crate::{
    device::Device,
    diarization::{Diarization, Progress, Speaker, Stage, Stages},
    error::{Error, Result, TensorProblem},
    options::{Decoding, EmbeddingTrunk, Options, Parameters, Reconstruction, SpeakerBounds},
    pipeline::{Diarizer, Heard},
    turns::{Span, Turn},
};

/// Samples per second of the audio that the pipeline takes.
pub const SAMPLE_RATE: u32 = 16_000;
