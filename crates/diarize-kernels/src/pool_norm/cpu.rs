//! Pooling and norm over contiguous channels, with the inputs of a batch in parallel. Steps are summed in f32
//! within blocks, and blocks in f64. Vectorization is left to the compiler's baseline instructions: explicit
//! AVX-512 was slower (0.9 ms for a chunk instead of 0.6 ms).

use rayon::prelude::*;

use super::{EPSILON, PoolNorm, Window};

/// Number of steps that are summed in f32.
const BLOCK: usize = 32;

/// Fills `y` `(batch, time / op.window, channels)` from `x` `(batch, time, channels)`.
pub(super) fn pool_norm(op: &PoolNorm, x: &[f32], time: usize, y: &mut [f32]) {
    let channels = op.weight.len();
    let pooled = time / op.window * channels;
    if y.is_empty() {
        return;
    }
    y.par_chunks_mut(pooled).zip(x.par_chunks(time * channels)).for_each(|(y, x)| one(op, x, y, |x, _| x));
}

/// Fills `y` `(window, length / op.window, channels)` from the windows of `x` `(time, channels)`.
pub(super) fn windows(op: &PoolNorm, x: &[f32], windows: &[Window], length: usize, y: &mut [f32]) {
    let channels = op.weight.len();
    let pooled = length / op.window * channels;
    if y.is_empty() {
        return;
    }
    y.par_chunks_mut(pooled).zip(windows).for_each(|(y, Window { start, scale, shift })| {
        let shift = &shift[..channels];
        let x = &x[start * channels..][..length * channels];
        one(op, x, y, |x, channel| (scale * x + shift[channel]).abs());
    });
}

/// Processes one input of the batch. `of` maps each input value and its channel to the value to pool.
fn one(op: &PoolNorm, x: &[f32], y: &mut [f32], of: impl Fn(f32, usize) -> f32) {
    let channels = op.weight.len();
    for (y, window) in y.chunks_exact_mut(channels).zip(x.chunks_exact(op.window * channels)) {
        for (channel, (y, &x)) in y.iter_mut().zip(window).enumerate() {
            *y = of(x, channel);
        }
        for step in window[channels..].chunks_exact(channels) {
            for (channel, (y, &x)) in y.iter_mut().zip(step).enumerate() {
                let x = of(x, channel);
                // This form propagates NaN from either value.
                *y = if x > *y || x.is_nan() { x } else { *y };
            }
        }
    }
    let mean = means(y, channels, |y, _| y, &vec![0.0; channels]);
    let variance = means(y, channels, |y, mean| (y - mean) * (y - mean), &mean);
    let scales: Vec<f32> = op
        .weight
        .iter()
        .zip(&variance)
        .map(|(&weight, &variance)| (f64::from(weight) / (f64::from(variance) + EPSILON).sqrt()) as f32)
        .collect();
    for y in y.chunks_exact_mut(channels) {
        for channel in 0..channels {
            let z = (y[channel] - mean[channel]) * scales[channel] + op.bias[channel];
            // NaN is not less than 0, so it propagates.
            y[channel] = if z < 0.0 { op.slope * z } else { z };
        }
    }
}

/// The mean over time of `of(y, given)` for each channel, where `given` has one value for each channel.
fn means(y: &[f32], channels: usize, of: impl Fn(f32, f32) -> f32, given: &[f32]) -> Vec<f32> {
    let mut totals = vec![0f64; channels];
    let mut sums = vec![0f32; channels];
    for block in y.chunks(BLOCK * channels) {
        sums.fill(0.0);
        for step in block.chunks_exact(channels) {
            for ((sum, &y), &given) in sums.iter_mut().zip(step).zip(given) {
                *sum += of(y, given);
            }
        }
        for (total, &sum) in totals.iter_mut().zip(&sums) {
            *total += f64::from(sum);
        }
    }
    let steps = (y.len() / channels) as f64;
    totals.iter().map(|total| (total / steps) as f32).collect()
}
