//! The logarithm of a sum of exponentials, `ln(sum(exp(x)))`, on the CPU: what turns scores into probabilities.

mod cpu;
pub mod reference;

/// `ln(sum(exp(x)))` within 1e-6; negative infinity if there are no values or all are negative infinity.
pub fn log_sum_exp(values: &[f32]) -> f64 {
    let largest = largest(values);
    match largest == f32::NEG_INFINITY {
        true => f64::NEG_INFINITY,
        false => f64::from(largest) + cpu::sum_exp(values, largest).ln(),
    }
}

/// The largest value; negative infinity if there is none. NaN is passed over.
pub fn largest(values: &[f32]) -> f32 {
    cpu::largest(values)
}
