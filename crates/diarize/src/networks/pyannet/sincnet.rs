//! `SincNet`: learned band-pass filters and two convolutions, each followed by pooling and normalization.
//!
//! Source: `pyannote/audio/models/blocks/sincnet.py`, `asteroid_filterbanks/param_sinc_fb.py`;
//! Ravanelli and Bengio, Speaker recognition from raw waveform with SincNet, 2018.

use std::f64::consts::PI;

use candle_core::{D, DType, Device, Result as TensorResult, Tensor};
use diarize_kernels::{
    conv2d::{Activation, Conv2d},
    pool_norm::{PoolNorm, Window},
    upload::upload,
};
use rayon::prelude::*;

use crate::{
    Result, SAMPLE_RATE,
    model::{FILTER_LENGTH, KERNEL, POOL, Weights},
};

/// Name of the tensors of the sinc filters.
const FILTERBANK: &str = "sincnet.conv1d.0.filterbank";
/// Number of sinc filters: half are even (cosine), half odd (sine).
const FILTERS: usize = 80;
/// Number of channels after the second and third convolutions.
pub(super) const CHANNELS: usize = 60;
/// Number of windows of a waveform after the sinc filters that a GPU computes at once.
pub(crate) const WINDOWS_ON_GPU: usize = 32;
/// Lowest cutoff frequency and narrowest band of a filter, in hertz.
const MIN_HZ: f64 = 50.0;
/// Added to the variance of a waveform before the square root, as in `torch.nn.InstanceNorm1d`.
const EPSILON: f64 = 1e-5;

/// Waveform to feature frames.
#[derive(Debug)]
pub struct SincNet {
    /// Weight and bias of the waveform's norm.
    waveform_norm: [f64; 2],
    /// Stride of the sinc filters in samples.
    pub(crate) stride: usize,
    /// Sum of each sinc filter: its response to a waveform of ones.
    sums: Vec<f64>,
    /// The blocks of the sinc filters and of the two convolutions.
    pub blocks: [Block; 3],
}

impl SincNet {
    pub(crate) fn load(weights: &Weights<'_>, stride: usize) -> Result<Self> {
        let block = |index: usize, channels: usize| -> Result<Block> {
            let name = format!("sincnet.conv1d.{index}");
            let kernel = weights.values(&format!("{name}.weight"), &[CHANNELS, channels, KERNEL])?;
            let bias = weights.values(&format!("{name}.bias"), &[CHANNELS])?;
            let shape = [CHANNELS, channels, 1, KERNEL];
            Block::load(weights, index, kernel, shape, bias, Activation::Identity)
        };
        let filters = filters(weights)?;
        let norm = |part: &str| -> Result<f64> {
            Ok(f64::from(weights.values(&format!("sincnet.wav_norm1d.{part}"), &[1])?[0]))
        };
        let sum = |filter: &[f32]| filter.iter().map(|&x| f64::from(x)).sum();
        Ok(Self {
            sums: filters.chunks_exact(FILTER_LENGTH).map(sum).collect(),
            waveform_norm: [norm("weight")?, norm("bias")?],
            stride,
            blocks: [Self::sinc_block(weights, &filters, stride)?, block(1, FILTERS)?, block(2, CHANNELS)?],
        })
    }

    /// The network on another device, if it is packed for a GPU.
    pub(crate) fn moved_to(self, device: &Device) -> TensorResult<Self> {
        let [first, second, third] = self.blocks;
        let blocks = [first.moved_to(device)?, second.moved_to(device)?, third.moved_to(device)?];
        Ok(Self { blocks, ..self })
    }

    /// The first block, with the given filters `(80, 251)`.
    ///
    /// `stride` consecutive samples form the channels of one step. The filters are padded with zeros to
    /// whole steps and then have a stride of one step.
    ///
    /// # Errors
    /// If a tensor of the block's norm is missing or has another shape.
    pub fn sinc_block(weights: &Weights<'_>, filters: &[f32], stride: usize) -> Result<Block> {
        let steps = FILTER_LENGTH.div_ceil(stride);
        let mut kernel = Vec::with_capacity(FILTERS * steps * stride);
        for filter in filters.chunks_exact(FILTER_LENGTH) {
            let tap = |sample: usize| filter.get(sample).copied().unwrap_or(0.0);
            kernel.extend(
                (0..stride).flat_map(|channel| (0..steps).map(move |step| tap(step * stride + channel))),
            );
        }
        let (shape, bias) = ([FILTERS, stride, 1, steps], vec![0.0; FILTERS]);
        Block::load(weights, 0, kernel, shape, bias, Activation::Absolute)
    }

    /// Waveforms `(batch, samples)` to `(batch, frames, 60)`.
    pub(crate) fn forward(&self, waveforms: &Tensor) -> TensorResult<Tensor> {
        let x = self.steps(&self.normalize(waveforms)?)?; // (batch, 1, 16000, 10)
        self.after_sinc(&self.blocks[0].forward(&x)?)
    }

    /// Sinc features `(batch, 1, 5325, 80)` to `(batch, 589, 60)`.
    fn after_sinc(&self, x: &Tensor) -> TensorResult<Tensor> {
        let [_, second, third] = &self.blocks;
        third.forward(&second.forward(x)?)?.squeeze(1) // (batch, 1, 1773, 60), (batch, 589, 60)
    }

    /// Like `forward` for chunks of `length` samples of `samples`, which start at `starts`, multiples of the stride. The
    /// sinc filters run once on samples that chunks share. Returns `(batch, frames, 60)`.
    ///
    /// Normalizing a chunk subtracts its mean and scales it, so its filtered signal is that of the samples,
    /// scaled and shifted. `level`, a constant for all chunks of a recording, is subtracted first so that a
    /// large offset does not cost precision.
    pub fn forward_overlapping(
        &self,
        mut samples: Vec<f32>,
        starts: &[usize],
        length: usize,
        level: f32,
        device: &Device,
    ) -> TensorResult<Tensor> {
        let [weight, bias] = self.waveform_norm;
        samples.par_chunks_mut(1 << 16).for_each(|part| part.iter_mut().for_each(|sample| *sample -= level));
        let window = |&start: &usize| {
            let (mean, variance) = moments(&samples[start..][..length]);
            let scale = weight / (variance + EPSILON).sqrt();
            let shift = self.sums.iter().map(|sum| ((bias - scale * mean) * sum) as f32).collect();
            Window { start: start / self.stride, scale: scale as f32, shift }
        };
        let windows: Vec<Window> = starts.par_iter().map(window).collect();
        let length = 1 + (length - FILTER_LENGTH) / self.stride;
        let shape = (1, samples.len());
        let samples = upload(&samples, shape, device)?;
        let [Block { convolution, pool_norm, .. }, ..] = &self.blocks;
        let x = convolution.forward(&self.steps(&samples)?, None, Activation::Identity)?.squeeze(1)?; // (1, steps, 80)
        let normalized = |windows: &[Window]| {
            let x = pool_norm.forward_windows(&x, windows, length)?; // (batch, 5325, 80)
            self.after_sinc(&x.unsqueeze(1)?) // (batch, 589, 60)
        };
        // Few windows at a time, so that the large features before the last two blocks exist for those only.
        let at_once = if device.is_cpu() { 1 } else { WINDOWS_ON_GPU };
        Tensor::cat(&windows.chunks(at_once).map(normalized).collect::<TensorResult<Vec<_>>>()?, 0)
    }

    /// Runs every block on a short input, all at the same time.
    pub(crate) fn warm_up(&self, device: &Device) -> TensorResult<()> {
        let length = FILTER_LENGTH + 100 * self.stride; // long enough for a frame after the last block
        let whole = || self.forward_overlapping(vec![0.0; length], &[0], length, 0.0, device);
        let blocks = || {
            self.blocks[1..].par_iter().try_for_each(|block| {
                let x = Tensor::zeros((1, 1, 10, block.convolution.inputs()), DType::F32, device)?;
                block.forward(&x).map(drop)
            })
        };
        let (whole, blocks) = rayon::join(whole, blocks);
        blocks.and(whole.map(drop))
    }

    /// Whether [`Self::forward_overlapping`] supports chunks of this length and hop.
    pub(crate) fn shares(&self, [length, hop]: [usize; 2]) -> bool {
        length >= FILTER_LENGTH && hop < length && hop.is_multiple_of(self.stride)
    }

    /// Normalizes each of the waveforms `(batch, samples)` to zero mean and unit variance, then scales and
    /// shifts it.
    pub fn normalize(&self, waveforms: &Tensor) -> TensorResult<Tensor> {
        let centered = waveforms.broadcast_sub(&waveforms.mean_keepdim(D::Minus1)?)?;
        let variance = centered.sqr()?.mean_keepdim(D::Minus1)?;
        let [weight, bias] = self.waveform_norm;
        let scale = ((variance + EPSILON)?.sqrt()?.recip()? * weight)?;
        centered.broadcast_mul(&scale)? + bias
    }

    /// Waveforms `(batch, samples)` to `(batch, 1, steps, stride)`, padded with zeros or cut. Any padding
    /// the last filter sees is multiplied by the zeros that pad the filters.
    pub fn steps(&self, waveforms: &Tensor) -> TensorResult<Tensor> {
        let (batch, samples) = waveforms.dims2()?;
        let outputs = samples.checked_sub(FILTER_LENGTH).map_or(0, |rest| 1 + rest / self.stride);
        let steps = (outputs + FILTER_LENGTH.div_ceil(self.stride)).saturating_sub(1);
        let length = steps * self.stride;
        let x = match length.checked_sub(samples) {
            Some(missing) => waveforms.pad_with_zeros(1, 0, missing)?,
            None => waveforms.narrow(1, 0, length)?,
        };
        x.contiguous()?.reshape((batch, 1, steps, self.stride))
    }
}

/// Mean and variance of a waveform.
fn moments(waveform: &[f32]) -> (f64, f64) {
    const LANES: usize = 16;
    let (mut sums, mut squares) = ([0f64; LANES], [0f64; LANES]);
    for samples in waveform.chunks(LANES) {
        for ((sum, square), &sample) in sums.iter_mut().zip(&mut squares).zip(samples) {
            *sum += f64::from(sample);
            *square += f64::from(sample) * f64::from(sample);
        }
    }
    let mean = |sums: [f64; LANES]| sums.iter().sum::<f64>() / waveform.len() as f64;
    (mean(sums), (mean(squares) - mean(sums) * mean(sums)).max(0.0))
}

/// A convolution over time, followed by pooling, normalization and leaky ReLU.
#[derive(Debug)]
pub struct Block {
    convolution: Conv2d,
    activation: Activation,
    pool_norm: PoolNorm,
}

impl Block {
    /// Loads block `index` with a kernel of the shape `[filters, channels, 1, steps]`.
    fn load(
        weights: &Weights<'_>,
        index: usize,
        kernel: Vec<f32>,
        shape: [usize; 4],
        bias: Vec<f32>,
        activation: Activation,
    ) -> Result<Self> {
        let norm = |part: &str| weights.values(&format!("sincnet.norm1d.{index}.{part}"), &shape[..1]);
        Ok(Self {
            convolution: weights.convolution(kernel, shape, bias, 1, [0, 0])?,
            activation,
            pool_norm: PoolNorm { window: POOL, slope: 0.01, weight: norm("weight")?, bias: norm("bias")? },
        })
    }

    /// The block on another device, if it is packed for a GPU.
    ///
    /// # Errors
    /// The device fails.
    pub fn moved_to(self, device: &Device) -> TensorResult<Self> {
        Ok(Self { convolution: self.convolution.moved_to(device)?, ..self })
    }

    /// `(batch, 1, time, channels)` to `(batch, 1, about time / 3, filters)`.
    pub fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        let x = self.convolution.forward(x, None, self.activation)?;
        self.pool_norm.forward(&x.squeeze(1)?)?.unsqueeze(1)
    }
}

/// The sinc filters `(80, 251)`, from their cutoff frequencies. Exporters that compute constants in advance store the filters
/// themselves.
fn filters(weights: &Weights<'_>) -> Result<Vec<f32>> {
    let computed = format!("{FILTERBANK}.filters");
    if weights.shapes().iter().any(|(name, _)| *name == computed) {
        return weights.values(&computed, &[FILTERS, 1, FILTER_LENGTH]);
    }
    let low = weights.values(&format!("{FILTERBANK}.low_hz_"), &[FILTERS / 2, 1])?;
    let band = weights.values(&format!("{FILTERBANK}.band_hz_"), &[FILTERS / 2, 1])?;
    Ok(sinc_filters(&low, &band))
}

/// The filters `(80, 251)` for the given cutoff and band parameters in hertz: 40 even ones (differences of
/// sines) and 40 odd ones (differences of cosines), each normalized by its bandwidth. Computed in f64,
/// since the arguments of sine and cosine reach some 400 radians.
pub fn sinc_filters(low: &[f32], band: &[f32]) -> Vec<f32> {
    let half = FILTER_LENGTH / 2;
    let nyquist = f64::from(SAMPLE_RATE) / 2.0;
    let cutoffs: Vec<(f64, f64)> = low
        .iter()
        .zip(band)
        .map(|(&low, &band)| {
            let low = MIN_HZ + f64::from(low).abs();
            (low, (low + MIN_HZ + f64::from(band).abs()).clamp(MIN_HZ, nyquist))
        })
        .collect();
    // The left half of a filter; the right half mirrors it.
    let left = |shape: &dyn Fn(f64) -> f64, band: f64| -> Vec<f64> {
        (0..half)
            .map(|i| {
                let hamming = 0.54 - 0.46 * (2.0 * PI * i as f64 / (FILTER_LENGTH - 1) as f64).cos();
                let n = 2.0 * PI * (i as f64 - half as f64) / f64::from(SAMPLE_RATE);
                shape(n) / (n / 2.0) * hamming / (2.0 * band)
            })
            .collect()
    };
    let mut filters = Vec::with_capacity(FILTERS * FILTER_LENGTH);
    for &(low, high) in &cutoffs {
        let left = left(&|n| (high * n).sin() - (low * n).sin(), high - low);
        filters.extend(left.iter().chain(&[1.0]).chain(left.iter().rev()).map(|&x| x as f32));
    }
    for &(low, high) in &cutoffs {
        let left = left(&|n| (low * n).cos() - (high * n).cos(), high - low);
        let right = left.iter().rev().map(|x| -x);
        filters.extend(left.iter().copied().chain([0.0]).chain(right).map(|x| x as f32));
    }
    filters
}
