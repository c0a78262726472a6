//! Distances between all pairs of vectors.
//!
//! Rows are vectors of f32 or f64. All arithmetic is in f64, and additions follow SciPy's order: squared
//! differences are summed one dimension after the other; products go into two sums, one for the even
//! dimensions and one for the odd. This order matters, because the merge order of a dendrogram depends on
//! the last bit of its distances. It rules out `(a-b)² = a² - 2ab + b²` and sums split over more lanes.
//! Instead, the fast path computes many pairs at once. Its results are bit-identical to those of the
//! reference for any number of threads.
//!
//! [`pairwise`] and [`condensed`] compute on tensors, on the tensors' device, in f32 and with sums in any
//! order. Use them where the last bit does not matter.
//!
//! Source: `scipy.spatial.distance`, as compiled for x86-64.

mod cpu;
mod pairwise;
pub mod reference;

use ndarray::{Array2, ArrayView1, ArrayView2};

pub use self::pairwise::{Metric, condensed, condensed_plan, pairwise, plan};

/// The element types of rows.
pub trait Real: Copy + Into<f64> + Send + Sync {}

impl Real for f32 {}
impl Real for f64 {}

/// Euclidean distance `sqrt(Σ (a - b)²)` of every pair of the `n` rows of `(n, dimension)`.
///
/// Returns for each row the distances to the rows after it: `n` vectors of `n - 1` to 0 values, which are those of
/// SciPy's `pdist` in its order.
pub fn euclidean_pairs<T: Real>(rows: ArrayView2<'_, T>) -> Vec<Vec<f64>> {
    cpu::euclidean_pairs(rows)
}

/// Cosine distance `1 - a·b / (|a| |b|)` of every pair of the `n` rows of `(n, dimension)`, like SciPy's
/// `pdist(rows, "cosine")`. The order is that of [`euclidean_pairs`].
pub fn cosine_pairs<T: Real>(rows: ArrayView2<'_, T>) -> Vec<Vec<f64>> {
    cpu::cosine_pairs(rows)
}

/// Cosine distance `1 - a·b / (|a| |b|)` from every row of `a` `(n, dimension)` to every row of `b`
/// `(m, dimension)`: `(n, m)` values from 0 to 2, like SciPy's `cdist(a, b, "cosine")`.
///
/// The quotient is clamped to ±1. A zero vector has no direction, so its distances are NaN.
///
/// # Panics
/// If the dimensions differ.
pub fn cosine<A: Real, B: Real>(a: ArrayView2<'_, A>, b: ArrayView2<'_, B>) -> Array2<f64> {
    assert_eq!(a.ncols(), b.ncols(), "vectors of different dimension");
    cpu::cosine(a, b)
}

/// The cosine distance of two vectors from their dot product and norms.
#[inline(always)]
fn cosine_distance(dot: f64, norm_a: f64, norm_b: f64) -> f64 {
    1.0 - (dot / (norm_a * norm_b)).clamp(-1.0, 1.0)
}

/// The dot product in SciPy's order: the sum over the even dimensions plus the sum over the odd ones, plus the
/// last dimension if their number is odd.
fn dot<A: Real, B: Real>(a: ArrayView1<'_, A>, b: ArrayView1<'_, B>) -> f64 {
    let paired = a.len() - a.len() % 2;
    let (mut sums, mut rest) = ([0.0; 2], 0.0);
    for (dimension, (&a, &b)) in a.iter().zip(b).enumerate() {
        let sum = if dimension < paired { &mut sums[dimension % 2] } else { &mut rest };
        *sum += a.into() * b.into();
    }
    (sums[0] + sums[1]) + rest
}
