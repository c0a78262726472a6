//! Parts of the tensor in parallel, vectorized by the compiler.

use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::simd::{self, exp};

/// Values that a thread computes at once.
const PART: usize = 1 << 14;

/// The Gaussian error linear unit of each value.
pub(super) fn gelu(x: &[f32]) -> Vec<f32> {
    // SAFETY: every part writes all of its values.
    let mut y = unsafe { crate::uninitialized(x.len()) };
    let arch = simd::arch();
    x.par_chunks(PART).zip(y.par_chunks_mut(PART)).for_each(|(x, y)| arch.dispatch(Values { x, y }));
    y
}

struct Values<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for Values<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for (y, &x) in self.y.iter_mut().zip(self.x) {
            *y = 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2));
        }
    }
}

/// The error function within 2e-7: a polynomial below 1, and above `1 - exp(-x²) t q(t)` with `t = 1 / (1 + 0.4 x)`. Both
/// are fitted to the definition. It has no branches, so that the compiler can vectorize it.
#[inline(always)]
fn erf(x: f32) -> f32 {
    const SMALL: [f32; 8] = [
        -9.808_609e-6,
        1.131_290_9e-4,
        -8.490_17e-4,
        5.221_421_4e-3,
        -2.686_555_9e-2,
        1.128_378_4e-1,
        -3.761_263_8e-1,
        FRAC_2_SQRT_PI,
    ];
    const LARGE: [f32; 7] = [
        3.027_922_3e-2,
        -3.497_676_3e-1,
        1.015_027,
        -7.027_334_6e-1,
        6.695_375e-1,
        9.712_612e-2,
        2.405_312_7e-1,
    ];
    let magnitude = x.abs();
    let square = x * x;
    let t = 1.0 / (1.0 + 0.4 * magnitude);
    let small = x * polynomial(SMALL, square);
    let large = 1.0 - exp(-square) * t * polynomial(LARGE, t);
    if magnitude < 1.0 { small } else { large.copysign(x) }
}

/// The value of a polynomial, whose highest power comes first.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: [f32; N], x: f32) -> f32 {
    coefficients.into_iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
}
