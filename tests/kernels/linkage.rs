//! Compares linkage with its plain implementations, and tests its distances.

use std::cell::Cell;

use diarize_kernels::{
    cdist::{self, cosine_pairs, euclidean_pairs},
    linkage::{Linkage, centroid, linkage, linkage_of_groups, linkage_while, reference},
};
use diarize_testkit::Random;
use ndarray::{Array1, Array2};

const COUNTS: [usize; 7] = [0, 1, 2, 3, 17, 50, 300];

/// Checks what holds for every input: centroid and median linkage are bit-identical to the plain implementation, and
/// the dendrogram is complete.
fn check(rows: &Array2<f32>) {
    let distances = euclidean_pairs(rows.view());
    for method in Linkage::ALL {
        let merges = linkage(method, distances.clone());
        if matches!(method, Linkage::Centroid | Linkage::Median) {
            let plain = reference::with_bounds(method, &distances);
            assert_eq!(merges, plain, "{method:?} of {} vectors", rows.nrows());
        } else {
            assert!(merges.windows(2).all(|pair| pair[0].distance <= pair[1].distance), "{method:?}");
        }
        assert_eq!(merges.len(), rows.nrows().saturating_sub(1));
        let mut merged: Vec<usize> = merges.iter().flat_map(|merge| [merge.left, merge.right]).collect();
        merged.sort_unstable();
        assert_eq!(merged, (0..2 * merges.len()).collect::<Vec<_>>(), "{method:?}: each merges once");
        if let Some(last) = merges.last() {
            assert_eq!(last.size, rows.nrows());
        }
    }
}

fn vectors(count: usize, dimension: usize, random: &mut Random) -> Array2<f32> {
    Array2::from_shape_vec((count, dimension), random.vector(count * dimension, 1.0)).unwrap()
}

#[test]
fn random_vectors() {
    let mut random = Random(5);
    for count in COUNTS {
        for dimension in [1, 2, 40] {
            check(&vectors(count, dimension, &mut random));
        }
    }
}

#[test]
fn duplicates_and_grids() {
    let mut random = Random(6);
    for count in COUNTS {
        check(&Array2::ones((count, 5)));
        for cells in [1.0, 2.0, 4.0] {
            check(&vectors(count, 2, &mut random).mapv(|x| (x * cells).round()));
        }
    }
}

/// Enough vectors for several compactions.
#[test]
fn many_vectors() {
    let mut random = Random(8);
    check(&vectors(1500, 2, &mut random));
    check(&vectors(1500, 2, &mut random).mapv(|x| (x * 8.0).round()));
}

#[test]
fn collinear_vectors() {
    let mut random = Random(7);
    for count in COUNTS {
        let line = Array1::from(random.vector(3, 1.0));
        let even = Array2::from_shape_fn((count, 3), |(i, axis)| i as f32 * 0.1 * line[axis]);
        check(&even);
        let steps = random.vector(count, 1.0);
        check(&Array2::from_shape_fn((count, 3), |(i, axis)| steps[i] * line[axis]));
    }
}

/// Without equal distances, every algorithm merges the two closest clusters first.
#[test]
fn the_closest_clusters_merge_first() {
    let mut random = Random(9);
    for count in [2, 3, 17, 50, 250] {
        let rows = vectors(count, 40, &mut random);
        for distances in [euclidean_pairs(rows.view()), cosine_pairs(rows.view())] {
            for method in Linkage::ALL {
                let found = linkage(method, distances.clone());
                let expected = reference::closest_first(method, &distances);
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!((found.left, found.right), (expected.left, expected.right), "{method:?}");
                    assert!((found.distance - expected.distance).abs() < 1e-12, "{method:?}");
                    assert_eq!(found.size, expected.size, "{method:?}");
                }
            }
        }
    }
}

#[test]
fn cosine_distances_of_pairs_equal_the_full_matrix() {
    let mut random = Random(10);
    for count in [0, 1, 2, 9, 50, 301] {
        let rows = vectors(count, 7, &mut random);
        let all = cdist::cosine(rows.view(), rows.view());
        let pairs = (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j)));
        let expected: Vec<f64> = pairs.map(|pair| all[pair]).collect();
        assert_eq!(cosine_pairs(rows.view()).concat(), expected);
        assert_eq!(cdist::reference::cosine_condensed(rows.view()), expected);
    }
}

/// The distance of every merge equals that of the centroids, computed from the vectors.
#[test]
fn distances_are_those_of_centroids() {
    let rows = vectors(60, 8, &mut Random(8)).mapv(f64::from);
    let merges = centroid(euclidean_pairs(rows.view()));
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
    assert!(merges.windows(2).any(|pair| pair[1].distance < pair[0].distance), "the data has no inversion");
}

#[test]
#[should_panic(expected = "not a number from 0")]
fn nan_distances_panic() {
    centroid(vec![vec![1.0, f64::NAN], vec![1.0], vec![]]);
}

#[test]
#[should_panic(expected = "each of 3 vectors needs its distances")]
fn missing_distances_panic() {
    centroid(vec![vec![1.0, 1.0], vec![], vec![1.0]]);
}

/// Equal vectors merge first, at distance 0. The remaining merges equal the linkage of the groups.
#[test]
fn linkage_of_groups_continues_the_dendrogram() {
    let mut random = Random(12);
    let rows = vectors(40, 12, &mut random);
    let sizes: Vec<usize> = (0..40).map(|group| 1 + group * 7 % 5).collect();
    let members: Vec<usize> = sizes.iter().enumerate().flat_map(|(group, &size)| vec![group; size]).collect();
    let repeated = rows.select(ndarray::Axis(0), &members);
    for method in Linkage::ALL {
        let all = linkage(method, euclidean_pairs(repeated.view()));
        let mut distances = euclidean_pairs(rows.view());
        if method == Linkage::Ward {
            let pairs = (0..40).flat_map(|a| (a + 1..40).map(move |b| (a, b)));
            for (distance, (a, b)) in distances.iter_mut().flatten().zip(pairs) {
                let (a, b) = (sizes[a] as f64, sizes[b] as f64);
                *distance *= (2.0 * a * b / (a + b)).sqrt();
            }
        }
        let merges = linkage_of_groups(method, distances, &sizes);
        let rest = &all[all.len() - merges.len()..];
        for (step, (merge, expected)) in merges.iter().zip(rest).enumerate() {
            assert!((merge.distance - expected.distance).abs() < 1e-6, "{method:?}, merge {step}");
            assert_eq!(merge.size, expected.size, "{method:?}, merge {step}");
        }
    }
}

#[test]
fn linkage_stops_when_told_to() {
    let distances = euclidean_pairs(vectors(50, 4, &mut Random(6)).view());
    for method in Linkage::ALL {
        let calls = Cell::new(0);
        let until = |most: usize| {
            calls.set(0);
            let may_continue = || calls.replace(calls.get() + 1) < most;
            linkage_while(method, distances.clone(), &[1; 50], &may_continue)
        };
        assert_eq!(until(49), Some(linkage(method, distances.clone())), "{method:?}: one call per merge");
        assert_eq!(until(20), None, "{method:?}");
        assert_eq!(calls.get(), 21, "{method:?}: stops at once");
    }
}
