//! The distances computed directly from their definitions, in f64.

use ndarray::{Array2, ArrayView2};

use super::{Real, cosine_distance, dot};

/// [`super::euclidean_pairs`], pair by pair, all in one vector.
pub fn euclidean_condensed<T: Real>(rows: ArrayView2<'_, T>) -> Vec<f64> {
    let mut distances = Vec::new();
    for i in 0..rows.nrows() {
        for j in i + 1..rows.nrows() {
            let mut sum = 0.0;
            for (&a, &b) in rows.row(i).iter().zip(rows.row(j)) {
                let difference = a.into() - b.into();
                sum += difference * difference;
            }
            distances.push(sum.sqrt());
        }
    }
    distances
}

/// Euclidean distance from every row of `a` `(n, dimension)` to every row of `b` `(m, dimension)`, pair by
/// pair: `(n, m)`.
pub fn euclidean<A: Real, B: Real>(a: ArrayView2<'_, A>, b: ArrayView2<'_, B>) -> Array2<f64> {
    Array2::from_shape_fn((a.nrows(), b.nrows()), |(i, j)| {
        let (a, b) = (a.row(i), b.row(j));
        a.iter().zip(b).map(|(&a, &b)| (a.into() - b.into()).powi(2)).sum::<f64>().sqrt()
    })
}

/// [`super::cosine_pairs`], pair by pair, all in one vector.
pub fn cosine_condensed<T: Real>(rows: ArrayView2<'_, T>) -> Vec<f64> {
    let distances = cosine(rows, rows); // (n, n)
    (0..rows.nrows())
        .flat_map(|i| distances.row(i).into_iter().skip(i + 1).copied().collect::<Vec<_>>())
        .collect()
}

/// [`super::cosine`], pair by pair.
pub fn cosine<A: Real, B: Real>(a: ArrayView2<'_, A>, b: ArrayView2<'_, B>) -> Array2<f64> {
    let (norms_a, norms_b) = (norms(a), norms(b)); // (n,), (m,)
    Array2::from_shape_fn((a.nrows(), b.nrows()), |(i, j)| {
        cosine_distance(dot(a.row(i), b.row(j)), norms_a[i], norms_b[j])
    })
}

fn norms<T: Real>(rows: ArrayView2<'_, T>) -> Vec<f64> {
    rows.rows().into_iter().map(|row| dot(row, row).sqrt()).collect()
}
