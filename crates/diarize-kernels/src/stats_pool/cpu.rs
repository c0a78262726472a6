//! Statistics pooling over contiguous channels, with the sets of weights in parallel.

use rayon::prelude::*;

use super::{EPSILON, StatsPool};

/// Returns the output `(sets, 2 * channels * rows)` for `weights` `(sets, length)`.
pub(super) fn stats_pool(op: &StatsPool, x: &[f32], weights: &[f32], length: usize) -> Vec<f32> {
    let &StatsPool { rows, time, channels, ref first } = op;
    let mut y = vec![0.0; first.len() * 2 * channels * rows];
    if y.is_empty() {
        return y;
    }
    y.par_chunks_mut(2 * channels * rows).zip(first).enumerate().for_each(|(set, (y, first))| {
        let weights = &weights[set * length..][..length];
        let (means, deviations) = y.split_at_mut(channels * rows);
        for row in 0..rows {
            let (mean, deviation) = of_row(&x[(first + row * time) * channels..], weights, channels);
            for channel in 0..channels {
                means[channel * rows + row] = mean[channel];
                deviations[channel * rows + row] = deviation[channel];
            }
        }
    });
    y
}

/// The mean and the deviation of each channel of `steps` `(time, channels)`.
fn of_row(steps: &[f32], weights: &[f32], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let sum = weights.iter().sum::<f32>() + EPSILON;
    let squares: f32 = weights.iter().map(|w| w * w).sum();
    let freedom = sum - squares / sum + EPSILON;
    let weighted = || steps.chunks_exact(channels).zip(weights).filter(|(_, w)| **w != 0.0);
    let mut mean = vec![0f32; channels];
    for (step, w) in weighted() {
        mean.iter_mut().zip(step).for_each(|(mean, x)| *mean += w * x);
    }
    mean.iter_mut().for_each(|mean| *mean /= sum);
    let mut deviation = vec![0f32; channels];
    for (step, w) in weighted() {
        for ((deviation, x), mean) in deviation.iter_mut().zip(step).zip(&mean) {
            *deviation += w * (x - mean) * (x - mean);
        }
    }
    deviation.iter_mut().for_each(|deviation| *deviation = (*deviation / freedom).sqrt());
    (mean, deviation)
}
