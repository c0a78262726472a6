//! Several values at a time, vectorized by the compiler.

use pulp::{Simd, WithSimd};

use crate::simd::{self, exp};

/// Sums that run in parallel.
const LANES: usize = 32;
/// Values that each lane sums in f32. The sums of these parts are added in f64.
const PART: usize = 64;

/// The sum of `exp(x - largest)`.
pub(super) fn sum_exp(values: &[f32], largest: f32) -> f64 {
    simd::arch().dispatch(SumExp { values, largest })
}

/// The largest value.
pub(super) fn largest(values: &[f32]) -> f32 {
    simd::arch().dispatch(Largest(values))
}

struct SumExp<'a> {
    values: &'a [f32],
    largest: f32,
}

impl WithSimd for SumExp<'_> {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f64 {
        let Self { values, largest } = self;
        let mut sum = 0.0;
        for part in values.chunks(PART * LANES) {
            let (rows, rest) = part.as_chunks::<LANES>();
            let mut lanes = [0f32; LANES];
            for row in rows {
                for (lane, &value) in lanes.iter_mut().zip(row) {
                    *lane += exp(value - largest);
                }
            }
            for (lane, &value) in lanes.iter_mut().zip(rest) {
                *lane += exp(value - largest);
            }
            sum += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
        }
        sum
    }
}

struct Largest<'a>(&'a [f32]);

impl WithSimd for Largest<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f32 {
        let (rows, rest) = self.0.as_chunks::<LANES>();
        let mut lanes = [f32::NEG_INFINITY; LANES];
        for row in rows {
            for (lane, &value) in lanes.iter_mut().zip(row) {
                *lane = if value > *lane { value } else { *lane };
            }
        }
        lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
    }
}
