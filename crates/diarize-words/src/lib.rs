//! Speech recognition with Whisper in pure Rust: what was said in a recording, and when each word was said.
//!
//! ```no_run
//! use diarize_words::{Options, Whisper};
//!
//! # fn samples() -> Vec<f32> { Vec::new() }
//! let whisper = Whisper::load("path/to/whisper-small")?;
//! for segment in whisper.transcribe(&samples(), &Options::default())? { // 16 kHz, one channel
//!     println!("{:.2} s to {:.2} s:{}", segment.start, segment.end, segment.text);
//! }
//! # Ok::<(), diarize_words::Error>(())
//! ```
//!
//! [`Whisper::load_on`] computes on a GPU. The results are those of `openai-whisper` with greedy decoding and word times. [`windows()`] cuts a recording into parts
//! by its diarization, so that silence is not decoded. [`Whisper::transcribe_parts`] transcribes some of them at the same time.

#![forbid(unsafe_code)]

mod alignment;
mod decoding;
mod error;
mod model;
mod place;
mod spectrogram;
mod timing;
mod tokens;
mod transcription;
#[cfg(feature = "unstable")]
pub mod unstable;
mod weights;
mod whisper;
mod windows;

pub use crate::{
    error::{Error, Result},
    transcription::{Options, Segment, Word},
    whisper::Whisper,
    windows::{Loudness, windows, without_imagined},
};
