//! Audio files to what the networks read: one channel of 16 kHz samples.
//!
//! Channels are averaged first and the mean is resampled, as pyannote does. A 16 kHz file of 16 bit
//! samples gives exactly the numbers that pyannote reads. For other sample rates pyannote uses
//! torchaudio's windowed sinc (`lowpass_filter_width` 6, `rolloff` 0.99, Hann window), which is
//! shorter than the one used here: results can differ minutely.
//!
//! Encoder delay is cut off where Symphonia does so: of MP3 and of Vorbis in Ogg, not of AAC.

mod damage;
mod decode;
mod error;
mod mono;
mod resample;
mod source;
mod track;

use std::{ops::RangeInclusive, path::Path};

pub use error::{Error, Warning};
pub use resample::Resampler;
use source::Source;

/// Sample rates that are taken for audio, in Hz.
pub const RATES: RangeInclusive<u32> = 1_000..=768_000;

/// Which channels of a file are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channels {
    /// The arithmetic mean of all.
    #[default]
    Mean,
    /// One of them, numbered from 0.
    Only(usize),
}

/// One channel of audio at [`diarize::SAMPLE_RATE`].
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// The samples, full scale at ±1.
    pub samples: Vec<f32>,
    /// Length of the file's audio in seconds.
    pub duration: f64,
    /// What was wrong with the file.
    pub warnings: Vec<Warning>,
}

impl Audio {
    /// Length of the samples in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(diarize::SAMPLE_RATE)
    }
}

/// Reads an audio file.
pub fn read(path: &Path, channels: Channels) -> Result<Audio, Error> {
    decode::decode(&Source::open(path)?, channels)
}

/// Reads an audio file from the standard input.
pub fn read_stdin(channels: Channels) -> Result<Audio, Error> {
    decode::decode(&Source::stdin()?, channels)
}
