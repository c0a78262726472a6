//! Who spoke when: pyannote's speaker diarization pipeline in pure Rust.
//!
//! Samples go in and turns come out:
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
//! - [`Diarizer`] diarizes a recording that is in memory.
//! - [`Listener`] diarizes a recording while it comes, in blocks of any length.
//! - [`Embedded`] is what the networks heard; other thresholds can be tried on it.
//! - An [`Observer`] hears progress, warnings and turns, and can cancel.
//!
//! Decoding files is left to the caller (or the crate `diarize-audio`), and so is the network: a model is a
//! directory (see [`model`]).
//!
//! | feature | effect |
//! |---|---|
//! | `bundled` | carries the model of this project: [`Diarizer::bundled`] |
//! | `cuda` | NVIDIA GPUs |
//! | `metal` | Apple GPUs |
//! | `accelerate` | Apple's library for matrix products on the CPU |
//! | `unstable` | the stages' arrays, for tests and tools; no promise is made about them |

#![forbid(unsafe_code)]

pub mod clustering;
mod device;
mod diarization;
mod diarizer;
mod embedded;
mod engine;
mod error;
mod listener;
mod math;
pub mod model;
mod networks;
mod observer;
pub mod ops;
mod options;
mod rttm;
pub mod scoring;
mod stages;
#[cfg(feature = "unstable")]
pub mod unstable;
pub mod voices;

pub use crate::{
    device::Device,
    diarization::{Diarization, Span, Speaker, Turn},
    diarizer::Diarizer,
    embedded::{Clustered, Embedded},
    error::{Error, Result, TensorProblem},
    listener::{ActivityListener, Listener, SpanListener},
    observer::{Event, Observer, Progress, Stage, Warning},
    options::{Decoding, EmbeddingTrunk, Options, Parameters, Reconstruction},
    rttm::{parse_rttm, rttm},
    stages::label,
};

/// Samples per second of the audio that the pipeline takes.
pub const SAMPLE_RATE: u32 = 16_000;

/// Compiles the README's Rust, which uses the bundled model.
#[cfg(all(doctest, feature = "bundled"))]
#[doc = include_str!("../../../README.md")]
struct ReadmeExamples;
