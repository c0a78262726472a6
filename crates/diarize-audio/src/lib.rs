//! Reads audio files and pipes as blocks of 16 kHz mono samples, in bounded memory. With other [`Settings`], blocks
//! have the file's own channels or sample rate.
//!
//! [`Audio`] is an iterator over blocks: it reads, decodes, downmixes and resamples as blocks are
//! requested, however long the recording is. [`Decoding`] decodes on a separate thread, some blocks ahead. [`read`] reads a
//! whole short file at once. [`Converter`] takes samples that are already decoded.
//!
//! ```no_run
//! use diarize_audio::{Audio, Settings};
//!
//! # fn main() -> Result<(), diarize_audio::Error> {
//! let mut audio = Audio::open("meeting.mp3".as_ref(), &Settings::default())?;
//! for block in &mut audio {
//!     println!("{} samples", block?.len());
//! }
//! println!("{:.3} s, {:?}", audio.duration(), audio.warnings());
//! # Ok(())
//! # }
//! ```
//!
//! # Samples
//! Channels are averaged first and the mean is resampled, as in pyannote. For a 16 kHz file of 16-bit
//! samples, the values are exactly those that pyannote reads. For other sample rates, pyannote uses
//! torchaudio's windowed sinc (`lowpass_filter_width` 6, `rolloff` 0.99, Hann window), which is shorter
//! than the filter used here, so results may differ slightly.
//!
//! Times are those of the recording's clock: audio that starts after the picture is preceded by silence, and encoder
//! delay is trimmed if the file states it. If the channels cancel each other in the mean, one of them is used, with a
//! warning. `docs/formats.md` lists the supported formats and how exactly they are decoded.
//!
//! # Pipes
//! A pipe is decoded while it is being written, if its container can be read forward. An MP4 file whose
//! index is at the end, or whose tracks are interleaved, needs seeking and is first copied to a temporary
//! file.

#![forbid(unsafe_code)]

mod audio;
mod container;
mod converter;
mod damage;
mod decoder;
mod decoding;
mod elementary;
mod error;
mod frames;
mod lane;
mod matroska;
mod mix;
mod mono;
mod mp4;
mod raw;
mod resample;
mod sniff;
mod source;
mod track;
mod trim;
mod wave;

use std::{
    ops::{Range, RangeInclusive},
    path::Path,
};

pub use audio::Audio;
pub use converter::Converter;
pub use decoding::Decoding;
pub use error::{Error, Warning};
pub use resample::Resampler;
pub use sniff::is_recording;

/// Sample rate of the output, in hertz.
pub const SAMPLE_RATE: u32 = 16_000;

/// Sample rates accepted in a file, in hertz.
pub const RATES: RangeInclusive<u32> = 1_000..=768_000;

/// Which channels of a file to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Channels {
    /// The arithmetic mean of all channels.
    #[default]
    Mean,
    /// A single channel, counted from 0.
    Only(usize),
    /// Each channel by itself. Blocks are interleaved: one sample of each channel, then the next of each.
    Each,
}

/// The sample rate of the blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rate {
    /// [`SAMPLE_RATE`], as diarization needs it.
    #[default]
    Speech,
    /// The file's own: samples are not resampled.
    Own,
}

/// The sample rate and the channels of the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Layout {
    /// In hertz: [`SAMPLE_RATE`], unless the settings ask for [`Rate::Own`].
    pub rate: u32,
    /// Number of interleaved channels: 1, unless the settings ask for [`Channels::Each`].
    pub channels: usize,
    /// Whether the file stores samples with more than 16 bits: integers or floating-point numbers, but not a lossy codec.
    pub has_fine_samples: bool,
}

/// Which audio tracks of a file to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tracks {
    /// The track that the file marks as its main one, or else the first. If there are others, a warning says so.
    #[default]
    Main,
    /// A single audio track, counted from 0.
    Only(usize),
    /// The arithmetic mean of all audio tracks.
    Mean,
}

/// Where time 0 is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clock {
    /// At the start of the recording, such as the first picture. Audio that starts later is preceded by silence.
    #[default]
    Media,
    /// At the first sample of the audio.
    Audio,
}

/// Settings for reading a recording.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// Which channels to use.
    pub channels: Channels,
    /// The sample rate of the blocks.
    pub rate: Rate,
    /// Which audio tracks to use.
    pub tracks: Tracks,
    /// Where time 0 is.
    pub clock: Clock,
    /// The part to read, in seconds; it is clipped to the recording's end. The first sample is the one at `range.start`, so
    /// add `range.start` to the times of results.
    pub range: Range<f64>,
    /// Whether to accept a recording of which more than 5 % cannot be decoded.
    pub keep_damaged: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            channels: Channels::default(),
            rate: Rate::default(),
            tracks: Tracks::default(),
            clock: Clock::default(),
            range: 0.0..f64::INFINITY,
            keep_damaged: false,
        }
    }
}

impl Settings {
    /// The same settings with other channels.
    pub fn with_channels(self, channels: Channels) -> Self {
        Self { channels, ..self }
    }

    /// The same settings with another sample rate of the blocks.
    pub fn with_rate(self, rate: Rate) -> Self {
        Self { rate, ..self }
    }

    /// The same settings with other tracks.
    pub fn with_tracks(self, tracks: Tracks) -> Self {
        Self { tracks, ..self }
    }

    /// The same settings with another clock.
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// The same settings for a part of the recording, in seconds.
    pub fn with_range(self, range: Range<f64>) -> Self {
        Self { range, ..self }
    }

    /// The same settings, accepting damaged recordings or not.
    pub fn with_keep_damaged(self, keep_damaged: bool) -> Self {
        Self { keep_damaged, ..self }
    }
}

/// A whole recording: mono at [`SAMPLE_RATE`], unless the settings ask for something else.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recording {
    /// The samples, with full scale at ±1.
    pub samples: Vec<f32>,
    /// Their sample rate and channels.
    pub layout: Layout,
    /// Duration of the file's audio in seconds, before resampling rounds it up to a whole sample.
    pub duration: f64,
    /// Problems found in the file.
    pub warnings: Vec<Warning>,
}

impl Recording {
    /// Duration of the samples in seconds.
    pub fn seconds(&self) -> f64 {
        (self.samples.len() / self.layout.channels) as f64 / f64::from(self.layout.rate)
    }
}

/// Reads a whole file into memory: 230 MB per hour. For long files, use [`Audio::open`].
///
/// # Errors
/// As [`Audio::open`] and its iteration.
pub fn read(path: &Path, settings: &Settings) -> Result<Recording, Error> {
    Audio::open(path, settings)?.read_all()
}

/// Reads standard input to its end, like [`read`] for a file.
///
/// # Errors
/// As [`Audio::stdin`] and its iteration.
pub fn read_stdin(settings: &Settings) -> Result<Recording, Error> {
    Audio::stdin(settings)?.read_all()
}
