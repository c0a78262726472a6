//! The formula in f64.

/// `ln(sum(exp(x)))`.
pub fn log_sum_exp(values: &[f32]) -> f64 {
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    if largest == f32::NEG_INFINITY {
        return f64::NEG_INFINITY;
    }
    let sum: f64 = values.iter().map(|&value| (f64::from(value) - f64::from(largest)).exp()).sum();
    f64::from(largest) + sum.ln()
}
