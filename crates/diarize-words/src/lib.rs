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
//! [`Whisper::transcribe`] gives the results of `openai-whisper` with greedy decoding and word times.
//!
//! # With speakers
//!
//! [`Whisper::transcribe_turns`] transcribes only where the turns of the crate `diarize` say that somebody speaks, so no text is
//! imagined in silence, and several parts of the recording are decoded at the same time. Each word then belongs to the
//! turn in which it is said.
//!
//! ```no_run
//! use diarize_words::{Options, Whisper, diarize::Turn};
//!
//! # fn samples() -> Vec<f32> { Vec::new() }
//! # fn turns() -> Vec<Turn> { Vec::new() } // of `diarize::Diarizer::diarize`, without overlap
//! let mut options = Options::default();
//! options.language = Some("en".to_owned()); // otherwise, it is detected
//! let (samples, turns) = (samples(), turns());
//! for segment in Whisper::load("path/to/whisper-small")?.transcribe_turns(&samples, &turns, &options)? {
//!     for word in &segment.words {
//!         let middle = (word.start + word.end) / 2.0;
//!         let turn = turns.iter().find(|turn| turn.start <= middle && middle < turn.end);
//!         println!("{}:{}", turn.map_or("unknown", |turn| &turn.speaker), word.text);
//!     }
//! }
//! # Ok::<(), diarize_words::Error>(())
//! ```
//!
//! For a recording that does not fit into memory, [`windows()`] says which parts to read, [`Whisper::transcribe_parts`]
//! transcribes some of them, [`Segment::of_part`] gives times from the start of the recording, and [`without_imagined`]
//! leaves out words where nobody speaks. In this way, a program can also show progress or stop between two parts.
//!
//! [`Whisper::load_on`] computes on a GPU.

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

pub use diarize;

pub use crate::{
    error::{Error, Result},
    transcription::{Options, Segment, Word},
    whisper::Whisper,
    windows::{Loudness, windows, without_imagined},
};
