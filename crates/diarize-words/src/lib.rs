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
//! `diarize model download whisper-small` downloads that model, and `diarize model path whisper-small` prints its folder. With
//! the default options, [`Whisper::transcribe`] gives the text of `openai-whisper` with greedy decoding, and its word times, except
//! where a text looks wrong and is sampled again at random.
//!
//! # With speakers
//!
//! [`Whisper::transcribe_turns`] transcribes only where the turns of a diarization say that somebody speaks, so Whisper hardly
//! invents text in silence. It decodes several parts of the recording at the same time. This program prints who said what:
//!
//! ```no_run
//! use diarize_words::{Options, Whisper, diarize::{Device, Diarizer, Span, speakers_of_words}};
//!
//! # fn samples() -> Vec<f32> { Vec::new() }
//! # fn diarizer() -> diarize_words::diarize::Result<Diarizer> { Diarizer::load("", Device::Cpu) }
//! let samples = samples(); // of `diarize_audio::read`: 16 kHz, one channel
//! let diarizer = diarizer()?; // `Diarizer::bundled(Device::auto())` with the feature `bundled` of `diarize`
//! let diarization = diarizer.diarize(&samples)?;
//! let mut options = Options::default();
//! options.language = Some("en".to_owned()); // otherwise, it is detected
//! let whisper = Whisper::load("path/to/whisper-small")?;
//! let segments = whisper.transcribe_turns(&samples, &diarization.turns, &options)?;
//! let words: Vec<_> = segments.iter().flat_map(|segment| &segment.words).collect();
//! let spans: Vec<Span> = words.iter().map(|word| word.span()).collect();
//! for (word, speaker) in words.iter().zip(speakers_of_words(&spans, &diarization.exclusive)) {
//!     println!("{:7.2} s {}:{}", word.start, speaker.unwrap_or_default(), word.text);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! For a recording that does not fit into memory, [`windows()`] says which parts to read, [`Whisper::transcribe_parts`]
//! transcribes some of them, [`Segment::of_part`] gives times from the start of the recording, and [`without_imagined`]
//! leaves out words where nobody speaks. In this way, a program can also show progress or stop between two parts.
//!
//! [`Whisper::load_on`] computes on a GPU, with the feature `cuda` or `metal`.

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
