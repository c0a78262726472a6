//! Statistics pooling: weighted mean and standard deviation of frames over time.
//!
//! Source: `pyannote/audio/models/blocks/pooling.py`.

use candle_core::{D, Result as TensorResult, Tensor};

/// Avoids division by zero in sums of weights; pyannote's `1e-8`.
const EPSILON: f64 = 1e-8;

/// Pools each chunk's frames with every mask.
///
/// - `frames`: `(batch, features, time)`;
/// - `masks`: `(batch, masks, time)`, weights of the frames;
/// - returns `(batch, masks, 2 * features)`: means, then standard deviations; zeros for a mask of zeros.
pub fn stats_pool(frames: &Tensor, masks: &Tensor) -> TensorResult<Tensor> {
    let frames = frames.unsqueeze(1)?; // (batch, 1, features, time)
    let weights = masks.unsqueeze(2)?; // (batch, masks, 1, time)
    let sum = (weights.sum_keepdim(D::Minus1)? + EPSILON)?; // (batch, masks, 1, 1)
    let mean = frames.broadcast_mul(&weights)?.sum_keepdim(D::Minus1)?.broadcast_div(&sum)?; // (batch, masks, features, 1)
    let squares = weights.sqr()?.sum_keepdim(D::Minus1)?;
    let freedom = ((&sum - squares.broadcast_div(&sum)?)? + EPSILON)?;
    let deviations = frames.broadcast_sub(&mean)?.sqr()?.broadcast_mul(&weights)?; // (batch, masks, features, time)
    let variance = deviations.sum_keepdim(D::Minus1)?.broadcast_div(&freedom)?;
    Tensor::cat(&[mean, variance.sqrt()?], 2)?.squeeze(D::Minus1)
}

/// Resizes a mask to `frames` frames by nearest neighbor, like
/// `torch.nn.functional.interpolate(mode="nearest")`.
pub fn resize_nearest(mask: &[f32], frames: usize) -> impl Iterator<Item = f32> + '_ {
    (0..frames).map(move |frame| mask[frame * mask.len() / frames])
}

/// Means and standard deviations of the frames `(frame, features)` selected by a mask of zeros and ones.
/// Returns `2 * features` values, zeros if no frame is selected. Equivalent to [`stats_pool`].
pub fn pool(frames: &[f32], mask: &[f32], features: usize) -> Vec<f32> {
    let taken = || frames.chunks_exact(features).zip(mask).filter(|(_, weight)| **weight != 0.0);
    let count = taken().count() as f32;
    let mut statistics = vec![0f32; 2 * features];
    if count == 0.0 {
        return statistics;
    }
    let (mean, deviation) = statistics.split_at_mut(features);
    for (frame, _) in taken() {
        mean.iter_mut().zip(frame).for_each(|(sum, x)| *sum += x);
    }
    mean.iter_mut().for_each(|sum| *sum /= count);
    for (frame, _) in taken() {
        for ((sum, x), mean) in deviation.iter_mut().zip(frame).zip(&*mean) {
            *sum += (x - mean) * (x - mean);
        }
    }
    // A single frame has zero deviation: pyannote divides 0 by 1e-8.
    deviation.iter_mut().for_each(|sum| *sum = (*sum / (count - 1.0).max(1e-8)).sqrt());
    statistics
}
