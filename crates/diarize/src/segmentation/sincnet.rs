//! `SincNet`: learned band-pass filters, then two convolutions, each pooled and normalised.
//!
//! Source: `pyannote/audio/models/blocks/sincnet.py`, `asteroid_filterbanks/param_sinc_fb.py`;
//! Ravanelli and Bengio, Speaker recognition from raw waveform with SincNet, 2018.

use std::f64::consts::PI;

use candle_core::{D, Result as TensorResult, Tensor};

use crate::{Result, SAMPLE_RATE, model::Weights};

/// Sinc filters, half of them cosine and half sine.
const FILTERS: usize = 80;
/// Samples of a sinc filter.
const FILTER_LENGTH: usize = 251;
/// Channels after the second and third convolution.
pub(super) const CHANNELS: usize = 60;
/// Steps of the second and third convolution's kernels.
const KERNEL: usize = 5;
/// Steps that each pooling merges.
const POOL: usize = 3;
/// Lowest cut-off and narrowest band of a filter, in hertz.
const MIN_HZ: f64 = 50.0;
/// What is added to a variance before the root, as `torch.nn.InstanceNorm1d` does.
const EPSILON: f64 = 1e-5;

/// Waveform to feature frames.
#[derive(Debug)]
pub(crate) struct SincNet {
    pub(crate) waveform_norm: InstanceNorm,
    pub(crate) blocks: [Block; 3],
}

impl SincNet {
    pub(crate) fn load(weights: &Weights<'_>, stride: usize) -> Result<Self> {
        let filterbank = "sincnet.conv1d.0.filterbank";
        let low = weights.values(&format!("{filterbank}.low_hz_"), &[FILTERS / 2, 1])?;
        let band = weights.values(&format!("{filterbank}.band_hz_"), &[FILTERS / 2, 1])?;
        let filters = weights.to_device(sinc_filters(&low, &band), &[FILTERS, 1, FILTER_LENGTH])?;
        let convolution = |index: usize, channels: usize| -> Result<Block> {
            let name = format!("sincnet.conv1d.{index}");
            Ok(Block {
                kernel: weights.tensor(&format!("{name}.weight"), &[CHANNELS, channels, KERNEL])?,
                bias: Some(weights.channels(&format!("{name}.bias"), CHANNELS)?),
                stride: 1,
                norm: InstanceNorm::load(weights, &format!("sincnet.norm1d.{index}"), CHANNELS)?,
            })
        };
        Ok(Self {
            waveform_norm: InstanceNorm::load(weights, "sincnet.wav_norm1d", 1)?,
            blocks: [
                Block {
                    kernel: filters,
                    bias: None,
                    stride,
                    norm: InstanceNorm::load(weights, "sincnet.norm1d.0", FILTERS)?,
                },
                convolution(1, FILTERS)?,
                convolution(2, CHANNELS)?,
            ],
        })
    }

    /// `(batch, 1, samples)` to `(batch, 60, frames)`.
    pub(crate) fn forward(&self, waveforms: &Tensor) -> TensorResult<Tensor> {
        let mut x = self.waveform_norm.forward(waveforms)?; // (batch, 1, 160000)
        for block in &self.blocks {
            x = block.forward(&x)?; // (batch, 80, 5325), (batch, 60, 1773), (batch, 60, 589)
        }
        Ok(x)
    }

    /// Kernel and stride in samples of every layer that shortens the signal, first to last.
    pub(crate) fn layers(stride: usize) -> [(usize, usize); 6] {
        [(FILTER_LENGTH, stride), (POOL, POOL), (KERNEL, 1), (POOL, POOL), (KERNEL, 1), (POOL, POOL)]
    }
}

/// A convolution, pooled, normalised and rectified.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) kernel: Tensor,
    /// The sinc filters have none, and are followed by the absolute value.
    bias: Option<Tensor>,
    stride: usize,
    norm: InstanceNorm,
}

impl Block {
    /// `(batch, channels, time)` to `(batch, filters, about time / stride / 3)`.
    pub(crate) fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        let x = x.conv1d(&self.kernel, 0, self.stride, 1, 1)?;
        let x = match &self.bias {
            None => x.abs()?,
            Some(bias) => x.broadcast_add(bias)?,
        };
        candle_nn::ops::leaky_relu(&self.norm.forward(&max_pool(&x)?)?, 0.01)
    }
}

/// The filters `(80, 1, 251)` of the given cut-off and band parameters, in hertz: 40 even ones
/// (differences of sines) and 40 odd ones (differences of cosines), each scaled to its band.
/// In f64, since the arguments of sine and cosine reach some 400 radians.
fn sinc_filters(low: &[f32], band: &[f32]) -> Vec<f32> {
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
    // The left half of a filter; the right one mirrors it.
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

/// Every channel of every sequence to zero mean and unit variance over time, then scaled and shifted.
#[derive(Debug)]
pub(crate) struct InstanceNorm {
    weight: Tensor,
    bias: Tensor,
}

impl InstanceNorm {
    fn load(weights: &Weights<'_>, name: &str, channels: usize) -> Result<Self> {
        Ok(Self {
            weight: weights.channels(&format!("{name}.weight"), channels)?,
            bias: weights.channels(&format!("{name}.bias"), channels)?,
        })
    }

    /// `(batch, channels, time)` to the same.
    pub(crate) fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let scale = self.weight.broadcast_div(&(variance + EPSILON)?.sqrt()?)?;
        centred.broadcast_mul(&scale)?.broadcast_add(&self.bias)
    }
}

/// The largest of every three steps; one or two left over at the end are dropped.
fn max_pool(x: &Tensor) -> TensorResult<Tensor> {
    let (batch, channels, time) = x.dims3()?;
    let pooled = time / POOL;
    x.narrow(2, 0, pooled * POOL)?.contiguous()?.reshape((batch, channels, pooled, POOL))?.max(D::Minus1)
}
