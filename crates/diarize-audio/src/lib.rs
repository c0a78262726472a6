//! Reads audio files and pipes as blocks of 16 kHz mono samples, in bounded memory.
//!
//! [`Audio`] is an iterator over blocks: it reads, decodes, downmixes and resamples as blocks are
//! requested, however long the recording is. [`read`] reads a whole short file at once.
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
//! Times are the recording's: audio that starts behind the picture has silence before it, and encoder
//! delay is trimmed where the file tells it. Channels that cancel each other in their mean are told, and one of
//! them is used. `docs/formats.md` lists what is read, and how exactly.
//!
//! # Pipes
//! A pipe is decoded while it is being written, if its container can be read forward. An MP4 file whose
//! index is at the end, or whose tracks are interleaved, needs seeking and is first copied to a temporary
//! file.

#![forbid(unsafe_code)]

mod audio;
mod container;
mod damage;
mod decoder;
mod elementary;
mod error;
mod frames;
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

use std::{ops::RangeInclusive, path::Path};

pub use audio::Audio;
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
}

/// Settings for reading a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Which channels to use.
    pub channels: Channels,
    /// Which clock the samples follow.
    pub clock: Clock,
    /// Takes a recording of which more than a twentieth cannot be decoded, with a warning.
    pub keep_damaged: bool,
}

/// Where time 0 is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clock {
    /// At the begin of the recording, such as the first picture: silence stands before audio that starts later.
    #[default]
    Media,
    /// At the first sample of audio.
    Audio,
}

impl Settings {
    /// Sets the channels to use.
    pub fn with_channels(self, channels: Channels) -> Self {
        Self { channels, ..self }
    }

    /// These settings, with another clock.
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// These settings, taking damaged recordings or not.
    pub fn with_keep_damaged(self, keep_damaged: bool) -> Self {
        Self { keep_damaged, ..self }
    }
}

/// A whole recording: mono at [`SAMPLE_RATE`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recording {
    /// The samples, with full scale at ±1.
    pub samples: Vec<f32>,
    /// Duration of the file's audio in seconds, before resampling rounds it up to a whole sample.
    pub duration: f64,
    /// Problems found in the file.
    pub warnings: Vec<Warning>,
}

impl Recording {
    /// Duration of the samples in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(SAMPLE_RATE)
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
