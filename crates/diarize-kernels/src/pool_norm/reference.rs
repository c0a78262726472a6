//! Pooling and norm computed directly from their definition, in f64, one channel at a time.

use super::{EPSILON, PoolNorm};

/// Returns the output `(time / window, channels)` for one input `x` `(time, channels)`.
pub fn pool_norm(op: &PoolNorm, x: &[f32]) -> Vec<f64> {
    let channels = op.weight.len();
    let pooled = x.len() / channels / op.window;
    let mut y = vec![0.0; pooled * channels];
    for channel in 0..channels {
        let maxima: Vec<f64> = (0..pooled)
            .map(|t| {
                let steps = t * op.window..(t + 1) * op.window;
                steps.map(|step| f64::from(x[step * channels + channel])).fold(f64::NEG_INFINITY, f64::max)
            })
            .collect();
        let mean = maxima.iter().sum::<f64>() / pooled as f64;
        let variance = maxima.iter().map(|p| (p - mean) * (p - mean)).sum::<f64>() / pooled as f64;
        for (t, p) in maxima.iter().enumerate() {
            let normalized = (p - mean) / (variance + EPSILON).sqrt();
            let z = f64::from(op.weight[channel]) * normalized + f64::from(op.bias[channel]);
            y[t * channels + channel] = z.max(f64::from(op.slope) * z);
        }
    }
    y
}
