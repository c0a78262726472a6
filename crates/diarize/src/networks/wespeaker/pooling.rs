//! Statistics pooling with masks: mean and standard deviation of frames over time.
//!
//! Source: `pyannote/audio/models/blocks/pooling.py`.

/// Resizes a mask to `frames` frames by nearest neighbor, like
/// `torch.nn.functional.interpolate(mode="nearest")`.
pub fn resize_nearest(mask: &[f32], frames: usize) -> impl Iterator<Item = f32> + '_ {
    (0..frames).map(move |frame| mask[frame * mask.len() / frames])
}

/// Means and standard deviations of the frames `(frame, features)` selected by a mask of zeros and ones.
/// Returns `2 * features` values, zeros if no frame is selected. Equivalent to
/// [`diarize_kernels::stats_pool`], whose frames are in another order.
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
