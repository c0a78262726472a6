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

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::gpu::{Buffer, Kernel, Launch, Plan, word, words};

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

    /// What a GPU does for an input `(batch, samples)`, and the shape of its output.
    ///
    /// # Errors
    /// A transform whose number of points is not a power of two, which only the CPU can do, or is too
    /// large for threadgroup memory; an input or frames of the wrong shape.
    pub fn plan(&self, input: &Shape) -> Result<(Plan, Shape)> {
        const LARGEST: usize = 2048;
        let (batch, samples) = input.dims2()?;
        self.check()?;
        let points = self.fft_length;
        if !points.is_power_of_two() || !(4..=LARGEST).contains(&points) {
            bail!(
                "stft: a GPU transforms 4, 8, 16, … {LARGEST} points, not {points}; the CPU takes any number"
            );
        }
        let frames = batch * self.frames(samples);
        let lanes = (points / 8).clamp(1, 64);
        let frames_per_group = (LARGEST / points).min(4);
        let turn = |k: usize| (-2.0 * PI * k as f64 / points as f64).sin_cos();
        let roots: Vec<f32> = (0..points).map(turn).flat_map(|(sin, cos)| [cos as f32, sin as f32]).collect();
        let launch = Launch {
            kernel: Kernel {
                name: "stft",
                text: include_str!("stft.kernel"),
                constants: vec![
                    ("FFT", points),
                    ("LENGTH", self.frame_length),
                    ("HOP", self.hop),
                    ("LANES", lanes),
                    ("FRAMES", frames_per_group),
                ],
            },
            groups: [frames.div_ceil(frames_per_group), 1, 1],
            threads: lanes * frames_per_group,
            reads: vec![Buffer::Input(0), Buffer::Table(0), Buffer::Table(1)],
            writes: vec![Buffer::Output],
            params: vec![
                word(frames)?,
                word(self.frames(samples))?,
                word(samples)?,
                self.preemphasis.to_bits(),
            ],
        };
        let plan = Plan {
            operation: "stft",
            tables: vec![words(&self.window), words(&roots)],
            scratch: vec![],
            output: frames * self.bins(),
            launches: vec![launch],
        };
        Ok((plan, (batch, self.frames(samples), self.bins()).into()))
    }

    /// Whether window and transform fit the frames.
    fn check(&self) -> Result<()> {
        let Self { frame_length, fft_length, .. } = *self;
        if self.window.len() != frame_length || fft_length < frame_length || self.hop == 0 {
            let window = self.window.len();
            bail!(
                "stft: window of {window}, transform of {fft_length}, hop of {} for frames of {frame_length}",
                self.hop
            );
        }
        Ok(())
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
        self.check()?;
        let frames = self.frames(samples);
        let mut power = vec![0f32; batch * frames * self.bins()];
        if !power.is_empty() {
            cpu::power_spectrum(self, waveforms, samples, &mut power);
        }
        Ok((CpuStorage::F32(power), (batch, frames, self.bins()).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (plan, shape) = self.plan(layout.shape())?;
        Ok((crate::gpu::cuda::run(&plan, &[(storage, layout)])?, shape))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(&self, storage: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        let (plan, shape) = self.plan(layout.shape())?;
        Ok((crate::gpu::metal::run(&plan, &[(storage, layout)])?, shape))
    }
}
