//! The reference of k-means where clusters are empty.

use diarize_kernels::kmeans::reference::{fill_empty, lloyd, nearest_means};
use ndarray::array;

#[test]
fn an_empty_cluster_takes_the_farthest_point() {
    let points = array![[0.0], [1.0], [5.0], [9.0]];
    let mut labels = vec![0, 0, 0, 1];
    fill_empty(points.view(), array![[0.0], [9.0], [100.0]].view(), &mut labels);
    assert_eq!(labels, [0, 0, 2, 1]);
}

#[test]
fn bad_initial_means_still_fill_every_cluster() {
    let points = array![[0.0], [0.1], [5.0], [5.1], [9.0]];
    let fit = lloyd(points.view(), array![[100.0], [101.0], [102.0]], 300, nearest_means);
    let mut seen = fit.labels;
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [0, 1, 2]);
}
