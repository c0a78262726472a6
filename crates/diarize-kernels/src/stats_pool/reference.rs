//! Statistics pooling computed directly from its definition, in f64, one value at a time. Only the two sums with
//! `1e-8` are rounded to f32, as in PyTorch: the deviation of a single step is 0 because they are.

use super::{EPSILON, StatsPool};

/// Returns the output `(sets, 2 * channels * rows)` for `weights` `(sets, length)`.
pub fn stats_pool(op: &StatsPool, x: &[f32], weights: &[f32]) -> Vec<f64> {
    let &StatsPool { rows, time, channels, ref first } = op;
    let mut y = vec![0.0; first.len() * 2 * channels * rows];
    let length = weights.len() / first.len().max(1);
    for (set, y) in y.chunks_exact_mut((2 * channels * rows).max(1)).enumerate() {
        let weights = &weights[set * length..][..length];
        let sum = weights.iter().map(|&w| f64::from(w)).sum::<f64>() as f32 + EPSILON;
        let squares = weights.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>() as f32;
        let [sum, freedom] = [sum, sum - squares / sum + EPSILON].map(f64::from);
        for (row, channel) in (0..rows).flat_map(|row| (0..channels).map(move |channel| (row, channel))) {
            let value = |t: usize| f64::from(x[(first[set] + row * time + t) * channels + channel]);
            let weighted = |of: &dyn Fn(f64) -> f64| -> f64 {
                let taken = weights.iter().enumerate().filter(|(_, w)| **w != 0.0);
                taken.map(|(t, &w)| f64::from(w) * of(value(t))).sum()
            };
            let mean = weighted(&|x| x) / sum;
            let variance = weighted(&|x| (x - mean).powi(2)) / freedom;
            y[channel * rows + row] = mean;
            y[(channels + channel) * rows + row] = variance.sqrt();
        }
    }
    y
}
