//! Short-time Fourier transform as kaldi frames it: the power spectrum of every window.
//!
//! For each frame `t`, with `x` the `frame_length` samples from `t * hop` on:
//! remove the mean (`x -= mean(x)`), pre-emphasise (`x[n] -= 0.97 x[n-1]`, the first sample taken as
//! its own predecessor), multiply by the window, pad with zeros to `fft_length`, and take
//! `|rfft(x)|^2`. Frames that would reach past the end are not made (kaldi's `snip_edges`).
//!
//! Source: `torchaudio.compliance.kaldi._get_window` and `spectrogram`, with
//! `window_type="hamming"`, `dither=0`.

mod cpu;
pub mod reference;

use std::f64::consts::PI;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

/// Framing and window of the transform. Lengths are in samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Stft {
    /// Samples in a frame.
    pub frame_length: usize,
    /// Samples from one frame's start to the next.
    pub hop: usize,
    /// Points of the Fourier transform, even, at least `frame_length`.
    pub fft_length: usize,
    /// Share of the previous sample that pre-emphasis subtracts.
    pub preemphasis: f32,
    /// What each sample of a frame is multiplied by: `frame_length` values.
    pub window: Vec<f32>,
}

impl Stft {
    /// 25 ms frames every 10 ms at 16 kHz, symmetric Hamming window: the features of `WeSpeaker`.
    pub fn kaldi_16khz() -> Self {
        let frame_length = 400;
        let window = (0..frame_length)
            .map(|n| (0.54 - 0.46 * (2.0 * PI * n as f64 / (frame_length - 1) as f64).cos()) as f32)
            .collect();
        Self { frame_length, hop: 160, fft_length: 512, preemphasis: 0.97, window }
    }

    /// Number of frames in `samples` samples.
    pub fn frames(&self, samples: usize) -> usize {
        samples.checked_sub(self.frame_length).map_or(0, |rest| 1 + rest / self.hop)
    }

    /// Number of frequencies: 0 to Nyquist.
    pub fn bins(&self) -> usize {
        self.fft_length / 2 + 1
    }

    /// `(batch, samples)` f32 to power `(batch, frames, bins)` f32.
    pub fn power_spectrum(&self, waveforms: &Tensor) -> Result<Tensor> {
        waveforms.contiguous()?.apply_op1_no_bwd(self)
    }
}

impl CustomOp1 for Stft {
    fn name(&self) -> &'static str {
        "stft"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, samples) = layout.shape().dims2()?;
        let waveforms = crate::contiguous_f32(storage, layout, "stft")?;
        if self.window.len() != self.frame_length || self.fft_length < self.frame_length {
            bail!(
                "stft: window of {} and transform of {} for frames of {}",
                self.window.len(),
                self.fft_length,
                self.frame_length
            );
        }
        let frames = self.frames(samples);
        let mut power = vec![0f32; batch * frames * self.bins()];
        if !power.is_empty() {
            cpu::power_spectrum(self, waveforms, samples, &mut power);
        }
        Ok((CpuStorage::F32(power), (batch, frames, self.bins()).into()))
    }
}
