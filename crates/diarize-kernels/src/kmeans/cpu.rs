//! The fast path: runs in parallel, and distances to the means by a matrix product.

use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;

use super::{
    Fit, KMeans,
    reference::{first_largest, lloyd, seed_means},
};

pub(super) fn kmeans(kmeans: &KMeans, points: ArrayView2<'_, f64>) -> Vec<Fit> {
    let run = |draws: &Vec<f64>| {
        let means = seed_means(points, kmeans.clusters, draws);
        lloyd(points, means, kmeans.max_iterations, nearest_means)
    };
    kmeans.draws.par_iter().map(run).collect()
}

/// The nearest mean of each point; the first one in case of ties. Compares `|x - m|²` without the common `|x|²`.
fn nearest_means(points: ArrayView2<'_, f64>, means: ArrayView2<'_, f64>) -> Vec<usize> {
    let offsets: Vec<f64> = means.rows().into_iter().map(|mean| 0.5 * mean.dot(&mean)).collect();
    let products = points.dot(&means.t()); // (point, cluster)
    let closeness = |products: ArrayView1<'_, f64>| {
        first_largest(products.iter().zip(&offsets).map(|(product, offset)| product - offset))
    };
    products.rows().into_iter().map(closeness).collect()
}
