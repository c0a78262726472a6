//! Fast centroid linkage against the plain one: the same merges, to the last bit.

#[path = "../support/random.rs"]
mod random;

use diarize_kernels::{
    cdist::euclidean_condensed,
    linkage::{Merge, centroid, reference},
};
use ndarray::{Array1, Array2};
use random::Random;

const COUNTS: [usize; 7] = [0, 1, 2, 3, 17, 50, 300];

fn dendrogram(rows: &Array2<f32>) -> Vec<Merge> {
    let distances = euclidean_condensed(rows.view());
    let merges = centroid(distances.clone(), rows.nrows());
    assert_eq!(merges, reference::centroid(&distances, rows.nrows()), "of {} vectors", rows.nrows());
    assert_eq!(merges.len(), rows.nrows().saturating_sub(1));
    if let Some(last) = merges.last() {
        assert_eq!(last.size, rows.nrows());
    }
    merges
}

fn vectors(count: usize, dimension: usize, random: &mut Random) -> Array2<f32> {
    Array2::from_shape_vec((count, dimension), random.vector(count * dimension, 1.0)).unwrap()
}

#[test]
fn random_vectors() {
    let mut random = Random(5);
    for count in COUNTS {
        for dimension in [1, 2, 40] {
            dendrogram(&vectors(count, dimension, &mut random));
        }
    }
}

#[test]
fn duplicates_and_grids() {
    let mut random = Random(6);
    for count in COUNTS {
        dendrogram(&Array2::ones((count, 5)));
        for cells in [1.0, 2.0, 4.0] {
            dendrogram(&vectors(count, 2, &mut random).mapv(|x| (x * cells).round()));
        }
    }
}

#[test]
fn collinear_vectors() {
    let mut random = Random(7);
    for count in COUNTS {
        let line = Array1::from(random.vector(3, 1.0));
        let even = Array2::from_shape_fn((count, 3), |(i, axis)| i as f32 * 0.1 * line[axis]);
        dendrogram(&even);
        let steps = random.vector(count, 1.0);
        dendrogram(&Array2::from_shape_fn((count, 3), |(i, axis)| steps[i] * line[axis]));
    }
}

/// Every merge is of the centroids it says, computed from the vectors themselves.
#[test]
fn distances_are_those_of_centroids() {
    let rows = vectors(60, 8, &mut Random(8)).mapv(f64::from);
    let merges = centroid(euclidean_condensed(rows.view()), rows.nrows());
    let mut clusters: Vec<(Array1<f64>, usize)> =
        rows.rows().into_iter().map(|row| (row.to_owned(), 1)).collect();
    for merge in &merges {
        let ((left, left_size), (right, right_size)) = (&clusters[merge.left], &clusters[merge.right]);
        let distance = (left - right).mapv(|x| x * x).sum().sqrt();
        assert!((distance - merge.distance).abs() < 1e-12, "{distance} is not {}", merge.distance);
        assert_eq!(left_size + right_size, merge.size);
        let sum = left * *left_size as f64 + right * *right_size as f64;
        clusters.push((sum / merge.size as f64, merge.size));
    }
    assert!(merges.windows(2).any(|pair| pair[1].distance < pair[0].distance), "no inversion was tried");
}

#[test]
#[should_panic(expected = "not within")]
fn a_distance_that_is_no_number_is_refused() {
    centroid(vec![1.0, f64::NAN, 1.0], 3);
}
