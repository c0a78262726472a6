//! Distances between all pairs of vectors.
//!
//! Rows are vectors of f32 or f64; all arithmetic is f64, and the order of the additions is SciPy's:
//! squared differences are summed over the dimensions one after the other, products in two sums, one of
//! the even dimensions and one of the odd. That order is part of the result: the merge order of a
//! dendrogram hangs on the last bit of its distances. So neither `(a-b)² = a² - 2ab + b²` nor a sum
//! split over more lanes is allowed; the fast path computes many pairs at once instead, and gives the
//! bits of the plain one whatever the number of threads.
//!
//! [`pairwise`] and [`condensed`] compute on tensors, wherever they are, in f32 and with sums in any order:
//! for what does not hang on the last bit.
//!
//! Source: `scipy.spatial.distance`, as compiled for x86-64.

mod cpu;
mod pairwise;
pub mod reference;

use ndarray::{Array2, ArrayView1, ArrayView2};

pub use self::pairwise::{Metric, condensed, condensed_plan, pairwise, plan};

/// What rows can hold.
pub trait Real: Copy + Into<f64> + Send + Sync {}

impl Real for f32 {}
impl Real for f64 {}

/// Euclidean distance `sqrt(Σ (a - b)²)` of every pair of the `n` rows of `(n, dimension)`.
///
/// Gives `n (n - 1) / 2` values in the order of SciPy's `pdist`: (0,1), (0,2), …, (0,n-1), (1,2), ….
pub fn euclidean_condensed<T: Real>(rows: ArrayView2<'_, T>) -> Vec<f64> {
    cpu::euclidean_condensed(rows)
}

/// Cosine distance `1 - a·b / (|a| |b|)` of every pair of the `n` rows of `(n, dimension)`, as SciPy's
/// `pdist(rows, "cosine")` and in the order of [`euclidean_condensed`].
pub fn cosine_condensed<T: Real>(rows: ArrayView2<'_, T>) -> Vec<f64> {
    cpu::cosine_condensed(rows)
}

/// Cosine distance `1 - a·b / (|a| |b|)` of every row of `a` `(n, dimension)` to every row of `b`
/// `(m, dimension)`: `(n, m)` values from 0 to 2, as SciPy's `cdist(a, b, "cosine")`.
///
/// The quotient is kept within ±1. A vector of zeros has no direction: its distances are NaN.
///
/// # Panics
/// If the dimensions differ.
pub fn cosine<A: Real, B: Real>(a: ArrayView2<'_, A>, b: ArrayView2<'_, B>) -> Array2<f64> {
    assert_eq!(a.ncols(), b.ncols(), "vectors of different dimension");
    cpu::cosine(a, b)
}

/// The distance that belongs to a dot product and two norms.
#[inline(always)]
fn cosine_distance(dot: f64, norm_a: f64, norm_b: f64) -> f64 {
    1.0 - (dot / (norm_a * norm_b)).clamp(-1.0, 1.0)
}

/// The dot product: the sum over the even dimensions and the sum over the odd ones, and last of all an
/// even one without an odd one after it.
fn dot<A: Real, B: Real>(a: ArrayView1<'_, A>, b: ArrayView1<'_, B>) -> f64 {
    let paired = a.len() - a.len() % 2;
    let (mut sums, mut rest) = ([0.0; 2], 0.0);
    for (dimension, (&a, &b)) in a.iter().zip(b).enumerate() {
        let sum = if dimension < paired { &mut sums[dimension % 2] } else { &mut rest };
        *sum += a.into() * b.into();
    }
    (sums[0] + sums[1]) + rest
}
