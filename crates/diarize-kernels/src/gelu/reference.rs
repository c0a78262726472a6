//! Computed from the definition, in f64.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// The Gaussian error linear unit of each value.
pub fn gelu(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).map(|x| 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2))).collect()
}

/// The error function, `2 / sqrt(pi) exp(-x²) sum of 2^n x^(2n + 1) / (1 · 3 ⋯ (2n + 1))`.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum(); // within 1e-16
    }
    let (mut sum, mut term, mut odd) = (0.0, x, 1.0);
    while f64::abs(sum + term) > sum.abs() {
        sum += term;
        odd += 2.0;
        term *= 2.0 * x * x / odd;
    }
    2.0 / PI.sqrt() * (-x * x).exp() * sum
}
