//! Speaker diarization ("who spoke when"): pyannote.audio's pipeline in pure Rust.
//!
//! Audio samples go in, speaker turns come out:
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
//! - [`Diarizer`] diarizes a recording in memory.
//! - [`Listener`] diarizes a recording as it arrives, in blocks of any length; [`ChannelsListener`] does so if each
//!   channel has one speaker.
//! - [`Embedded`] holds the outputs of the networks, to be clustered with different settings.
//! - [`Diarizer::activity`] finds speech and overlap, [`Diarizer::embed_spans`] computes embeddings of parts.
//! - [`voices`] recognizes known speakers, [`scoring`] compares results with a reference, and [`rttm()`] and [`parse_rttm`]
//!   write and read RTTM.
//! - [`speakers_of_words`] finds the speaker of each word of a transcript.
//! - An [`Observer`] receives progress, warnings and turns, and can cancel.
//!
//! [`Diarizer`], [`Embedded`] and all results are `Send + Sync`. [`Listener`] is `Send`: it can move to a thread of
//! its own.
//!
//! The caller decodes audio files (the crate `diarize-audio` can help) and supplies the model, a directory
//! (see [`model`]). `diarize model download` and the crate `diarize-convert` make such directories from pyannote's checkpoints
//! and hub repositories; the feature `bundled` needs none.
//!
//! | feature | effect |
//! |---|---|
//! | `bundled` | includes this project's model: [`Diarizer::bundled`] |
//! | `cuda` | NVIDIA GPUs |
//! | `metal` | Apple GPUs |
//! | `accelerate` | Apple's Accelerate framework for matrix products on the CPU |
//! | `unstable` | the stages' arrays, for tests and tools; exempt from semantic versioning |

#![forbid(unsafe_code)]

mod attribution;
mod channels;
pub mod clustering;
mod compat;
mod device;
mod devices;
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
mod precision;
mod rttm;
pub mod scoring;
mod stages;
#[cfg(feature = "unstable")]
pub mod unstable;
pub mod voices;

pub use crate::{
    attribution::{speakers_of_spans, speakers_of_words},
    channels::ChannelsListener,
    device::Device,
    devices::Devices,
    diarization::{Diarization, Span, Speaker, Turn},
    diarizer::Diarizer,
    embedded::{Clustered, Embedded},
    error::{Error, Result, TensorProblem},
    listener::{ActivityListener, Listener, SpanListener},
    observer::{Event, Observer, Progress, Stage, Warning},
    options::{Decoding, EmbeddingTrunk, Options, Parameters, Reconstruction},
    precision::Precision,
    rttm::{parse_rttm, rttm},
    stages::label,
};

/// Sample rate of the audio that the pipeline takes, in hertz.
pub const SAMPLE_RATE: u32 = 16_000;

/// Compiles the Rust examples in the README.
#[cfg(all(doctest, feature = "bundled"))]
#[doc = include_str!("../../../README.md")]
struct ReadmeExamples;
