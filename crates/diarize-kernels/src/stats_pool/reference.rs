//! Statistics pooling computed directly from its definition, in f64, one value at a time.

use super::{Dims, EPSILON};

/// Returns the output `(batch, masks, 2 * channels * rows)`.
pub fn stats_pool(dims: Dims, x: &[f32], masks: &[f32]) -> Vec<f64> {
    let Dims { batch, rows, time, channels, masks: count } = dims;
    let mut y = vec![0.0; batch * count * 2 * channels * rows];
    for (index, y) in y.chunks_exact_mut((2 * channels * rows).max(1)).enumerate() {
        let weights = &masks[index * time..][..time];
        let epsilon = f64::from(EPSILON);
        let sum = weights.iter().map(|&w| f64::from(w)).sum::<f64>() + epsilon;
        let squares: f64 = weights.iter().map(|&w| f64::from(w).powi(2)).sum();
        for (row, channel) in (0..rows).flat_map(|row| (0..channels).map(move |channel| (row, channel))) {
            let value =
                |t: usize| f64::from(x[((index / count * rows + row) * time + t) * channels + channel]);
            let weighted = |of: &dyn Fn(f64) -> f64| -> f64 {
                weights.iter().enumerate().map(|(t, &w)| f64::from(w) * of(value(t))).sum()
            };
            let mean = weighted(&|x| x) / sum;
            let variance = weighted(&|x| (x - mean).powi(2)) / (sum - squares / sum + epsilon);
            y[channel * rows + row] = mean;
            y[(channels + channel) * rows + row] = variance.sqrt();
        }
    }
    y
}
