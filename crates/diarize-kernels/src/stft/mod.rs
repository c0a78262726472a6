//! Short-time Fourier transform: the power spectrum of every frame.
//!
//! For each frame `t`, where `x` is the `frame_length` samples starting at `t * hop`:
//! remove the mean (`x -= mean(x)`, optional), apply pre-emphasis (`x[n] -= 0.97 x[n-1]`, where the first sample is
//! its own predecessor), multiply by the window, pad with zeros to `fft_length`, and compute
//! `|rfft(x)|^2`. Frames that would extend past the end are dropped (Kaldi's `snip_edges`).
//!
//! Source: `torchaudio.compliance.kaldi._get_window` and `spectrogram`, with
//! `window_type="hamming"`, `dither=0`.

pub(crate) mod cpu;
pub mod reference;

use std::f64::consts::PI;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::{
    gpu::{Buffer, Kernel, Launch, Plan, aligned, word, words},
    mel::LogMel,
};

/// The framing and window of the transform. Lengths are in samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Stft {
    /// Length of a frame.
    pub frame_length: usize,
    /// Distance between the starts of neighboring frames.
    pub hop: usize,
    /// Number of points of the Fourier transform: even and at least `frame_length`.
    pub fft_length: usize,
    /// Whether the mean of each frame is removed, as Kaldi does. Whisper does not.
    pub remove_mean: bool,
    /// Factor for the previous sample, which pre-emphasis subtracts.
    pub preemphasis: f32,
    /// The window function: `frame_length` factors.
    pub window: Vec<f32>,
}

impl Stft {
    /// `WeSpeaker`'s features: 25 ms frames every 10 ms at 16 kHz, with a symmetric Hamming window.
    pub fn kaldi_16khz() -> Self {
        let frame_length = 400;
        let window = (0..frame_length)
            .map(|n| (0.54 - 0.46 * (2.0 * PI * n as f64 / (frame_length - 1) as f64).cos()) as f32)
            .collect();
        Self { frame_length, hop: 160, fft_length: 512, remove_mean: true, preemphasis: 0.97, window }
    }

    /// Number of frames in `samples` samples.
    pub fn frames(&self, samples: usize) -> usize {
        samples.checked_sub(self.frame_length).map_or(0, |rest| 1 + rest / self.hop)
    }

    /// Number of frequency bins, from 0 to Nyquist.
    pub fn bins(&self) -> usize {
        self.fft_length / 2 + 1
    }

    /// The GPU plan for an input `(batch, samples)`, and the output shape `(batch, frames, bins)`.
    ///
    /// # Errors
    /// The number of points is not a power of two from 64 to 2048, the mean is kept, or there are more than 65,535
    /// waveforms (the CPU supports all three), or the sizes do not fit each other.
    pub fn plan(&self, input: &Shape) -> Result<(Plan, Shape)> {
        self.plan_with("stft", input, None)
    }

    /// Like [`Self::plan`], but computes log energies if a filterbank is given.
    pub(crate) fn plan_with(
        &self,
        operation: &'static str,
        input: &Shape,
        mel: Option<&LogMel>,
    ) -> Result<(Plan, Shape)> {
        const THREADS: usize = 64;
        /// CUDA's limit on the number of threadgroups along the second axis.
        const MAX_WAVEFORMS: usize = 65_535;
        let (batch, samples) = input.dims2()?;
        self.check()?;
        let points = self.fft_length;
        if !points.is_power_of_two() || !(64..=2048).contains(&points) {
            bail!(
                "{operation}: a GPU supports transforms of 64, 128, 256, 512, 1024 or 2048 points, not {points}; the \
                 CPU supports any number"
            );
        }
        if !self.remove_mean {
            bail!("{operation}: a GPU always removes the mean of each frame; only the CPU can keep it");
        }
        if batch > MAX_WAVEFORMS {
            bail!("{operation}: a GPU supports at most {MAX_WAVEFORMS} waveforms at once, not {batch}");
        }
        let frames = self.frames(samples);
        let (row, bins) = (points / 16, self.bins());
        let group_frames = THREADS / (row / 4);
        let between_passes = group_frames * (8 * (row / 2 + 1) + 2);
        let power = match mel {
            Some(_) => bins * (group_frames + 4),
            None => group_frames * ((bins + 23) / 32 * 32 + 8),
        };
        let folded_start = power.div_ceil(4);
        let folded_end = folded_start + group_frames * (row / 2 + 2);
        let rows_apart = if batch > 1 { samples } else { 0 };
        let aligned = [self.frame_length, self.hop, rows_apart].iter().all(|size| size.is_multiple_of(4));
        let width = mel.map_or(bins, LogMel::filters);
        let window = [&*self.window, &vec![0.0; points - self.frame_length]].concat();
        let mut tables = vec![words(&window), words(&twiddle_factors(row))];
        let filters = match mel {
            Some(mel) => {
                tables.extend(mel.bank_conflict_free_tables()?);
                [2, 3]
            }
            None => [0; 2],
        };
        let reads = [0, 1].into_iter().chain(filters).map(Buffer::Table);
        let launch = Launch {
            kernel: Kernel {
                name: "stft",
                text: include_str!("stft.kernel"),
                threads: THREADS,
                constants: vec![
                    ("FFT", points),
                    ("LENGTH", self.frame_length),
                    ("HOP", self.hop),
                    ("MIDDLE", middle(row)),
                    ("ALIGNED", usize::from(aligned)),
                    ("GROUP_PAIRS", between_passes.max(folded_end)),
                    ("FOLDED_START", folded_start),
                    ("MEL", usize::from(mel.is_some())),
                    ("FILTERS", width),
                    ("EACH", group_frames.min(8)),
                ],
            },
            groups: [frames.div_ceil(group_frames), batch, 1],
            reads: [Buffer::Input(0)].into_iter().chain(reads).collect(),
            writes: vec![Buffer::Output],
            params: [
                vec![word(frames)?, word(samples)?],
                words(&[self.preemphasis, mel.map_or(0.0, LogMel::floor)]),
                words(&[1, 2, 4, 8].map(|k| twiddle(k, points)).concat()),
            ]
            .concat(),
        };
        let output = batch * frames * width;
        let plan =
            Plan { operation, tables, scratch: vec![], output, launches: vec![launch], ..Plan::default() };
        Ok((plan, (batch, frames, width).into()))
    }

    /// Checks that window, transform and hop fit the frame length.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { frame_length, fft_length, .. } = *self;
        if self.window.len() != frame_length || fft_length < frame_length || self.hop == 0 {
            let window = self.window.len();
            bail!(
                "stft: a window of {window} samples, a transform of {fft_length} points and a hop of {} do not fit \
                 frames of {frame_length} samples",
                self.hop
            );
        }
        Ok(())
    }

    /// Maps waveforms `(batch, samples)` f32 to power `(batch, frames, bins)` f32.
    ///
    /// # Errors
    /// The sizes do not fit each other, a GPU does not support them (see [`Self::plan`]), or the device fails.
    pub fn power_spectrum(&self, waveforms: &Tensor) -> Result<Tensor> {
        aligned(waveforms)?.apply_op1_no_bwd(self)
    }
}

/// Number of threads that share a row of `row` points.
fn middle(row: usize) -> usize {
    row.div_ceil(32)
}

/// The twiddle factor `exp(-2πi k / points)` as real and imaginary part.
fn twiddle(k: usize, points: usize) -> [f32; 2] {
    let (sin, cos) = (-2.0 * PI * k as f64 / points as f64).sin_cos();
    [cos as f32, sin as f32]
}

/// The twiddle factors of the kernel, with alternating real and imaginary parts: for rows 1, 2 and 4, those of
/// each thread's first column; those between the passes of a long row; and those that combine the even and odd
/// sums of the folded frame.
fn twiddle_factors(row: usize) -> Vec<f32> {
    let rows = [1, 2, 4].into_iter().flat_map(|k| (0..row / 4).map(move |lane| (4 * k * lane, 16 * row)));
    let between = (1..middle(row)).flat_map(|k| (0..32).map(move |i| (k * i, row)));
    let folded = (0..row / 2).map(|k| (k, 2 * row));
    rows.chain(between).chain(folded).flat_map(|(k, points)| twiddle(k, points)).collect()
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
        cpu::power_spectrum(self, waveforms, samples, &mut power);
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
