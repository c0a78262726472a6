//! Input features of the embedding network: centered log-mel energies.
//!
//! Source: `WeSpeaker` in `pyannote/audio/models/embedding/wespeaker/__init__.py`, `compute_fbank`.

use std::ops::Range;

use candle_core::{Result as TensorResult, Tensor};
use diarize_kernels::{
    center::Sections,
    fbank,
    mel::{LogMel, MelScale},
    stft::Stft,
};

/// Samples are scaled to the range of 16-bit integers.
const FULL_SCALE: f32 = 32768.0;
/// Lower bound of the energies before the logarithm.
const FLOOR: f32 = f32::EPSILON;

/// Waveform to centered log-mel energies.
#[derive(Debug)]
pub struct Fbank(fbank::Fbank);

/// Number of mel bands.
pub const BANDS: usize = 80;

impl Fbank {
    pub(crate) fn new() -> Self {
        let mut stft = Stft::kaldi_16khz();
        // The transform is linear and a power of two is exact, so scaling the window is the same as scaling
        // the samples.
        stft.window.iter_mut().for_each(|weight| *weight *= FULL_SCALE);
        Self(fbank::Fbank { stft, mel: LogMel::new(&MelScale::kaldi_16khz(), FLOOR) })
    }

    /// Number of frames for `samples` samples.
    pub(crate) fn frames(&self, samples: usize) -> usize {
        self.0.stft.frames(samples)
    }

    /// Step between frames in samples.
    pub(crate) fn hop(&self) -> usize {
        self.0.stft.hop
    }

    /// The range of samples that `frames` cover.
    pub(crate) fn samples(&self, frames: Range<usize>) -> Range<usize> {
        frames.start * self.0.stft.hop..(frames.end - 1) * self.0.stft.hop + self.0.stft.frame_length
    }

    /// Minimum number of samples for one frame.
    pub(crate) fn min_samples(&self) -> usize {
        self.0.stft.frame_length
    }

    /// Waveforms `(batch, samples)` to log energies `(batch, frames, 80)`.
    pub fn log_energies(&self, waveforms: &Tensor) -> TensorResult<Tensor> {
        self.0.log_energies(waveforms)
    }

    /// Waveforms `(batch, samples)` to features `(batch, frames, 80)`: each band's mean over the whole
    /// chunk is subtracted, regardless of who speaks.
    pub fn forward(&self, waveforms: &Tensor) -> TensorResult<Tensor> {
        let energies = self.log_energies(waveforms)?; // (batch, 998, 80)
        let (_, frames, _) = energies.dims3()?;
        Sections { window: frames, starts: &[0], length: frames }.center(&energies)
    }
}
