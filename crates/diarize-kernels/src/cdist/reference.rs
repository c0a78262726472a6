//! The definitions, written down.

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::{Real, cosine_distance};

/// [`super::euclidean_condensed`], pair by pair.
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

/// [`super::cosine`], pair by pair.
pub fn cosine<T: Real>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>) -> Array2<f64> {
    Array2::from_shape_fn((a.nrows(), b.nrows()), |(i, j)| {
        let (a, b) = (a.row(i), b.row(j));
        cosine_distance(dot(a, b), dot(a, a).sqrt(), dot(b, b).sqrt())
    })
}

fn dot<T: Real>(a: ArrayView1<'_, T>, b: ArrayView1<'_, T>) -> f64 {
    let mut sum = 0.0;
    for (&a, &b) in a.iter().zip(b) {
        sum += a.into() * b.into();
    }
    sum
}
