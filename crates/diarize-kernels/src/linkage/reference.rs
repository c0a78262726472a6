//! Plain implementations on a full square matrix.

use super::{Halves, Linkage, Merge, check, heap::Heap, merge, merged_distance};

/// A plain implementation of [`super::linkage`] for centroid and median linkage, which use lower bounds.
///
/// # Panics
/// As [`super::linkage`].
pub fn with_bounds(linkage: Linkage, distances: &[Vec<f64>]) -> Vec<Merge> {
    let count = distances.len();
    check(distances, count);
    if count < 2 {
        return Vec::new();
    }
    let mut matrix = square(distances);
    let mut sizes = vec![1; count]; // 0 for an unused place
    let mut clusters: Vec<usize> = (0..count).collect(); // the cluster in each place
    let (mut neighbors, bounds): (Vec<usize>, Vec<f64>) =
        (0..count - 1).map(|place| nearest(&matrix, &sizes, place)).unzip();
    let mut heap = Heap::new(bounds);
    let mut merges = Vec::with_capacity(count - 1);

    for step in 0..count - 1 {
        let (x, y, distance) = loop {
            let (x, bound) = heap.min();
            if bound == matrix[x][neighbors[x]] {
                break (x, neighbors[x], bound);
            }
            let (neighbor, distance) = nearest(&matrix, &sizes, x);
            neighbors[x] = neighbor;
            heap.change(x, distance);
        };
        heap.remove_min();

        merges.push(merge(clusters[x], clusters[y], distance, sizes[x] + sizes[y]));
        merge_places(linkage, &mut matrix, &mut sizes, x, y);
        clusters[y] = count + step;
        for z in 0..x {
            if sizes[z] > 0 && neighbors[z] == x {
                neighbors[z] = y;
            }
        }
        for z in 0..y {
            if sizes[z] > 0 && matrix[z][y] < heap.value(z) {
                neighbors[z] = y;
                heap.change(z, matrix[z][y]);
            }
        }
        if y < count - 1 {
            let (neighbor, distance) = nearest(&matrix, &sizes, y);
            neighbors[y] = neighbor;
            heap.change(y, distance);
        }
    }
    merges
}

/// The definition: repeatedly merges the two closest clusters. Without ties, the merges equal those of
/// [`super::linkage`] up to rounding.
///
/// # Panics
/// As [`super::linkage`].
pub fn closest_first(linkage: Linkage, distances: &[Vec<f64>]) -> Vec<Merge> {
    let count = distances.len();
    check(distances, count);
    let mut matrix = square(distances);
    let mut sizes = vec![1; count];
    let mut clusters: Vec<usize> = (0..count).collect();
    let mut merges = Vec::with_capacity(count.saturating_sub(1));
    for step in 0..count.saturating_sub(1) {
        let pairs = (0..count).flat_map(|x| (x + 1..count).map(move |y| (x, y)));
        let (x, y) = pairs
            .filter(|&(x, y)| sizes[x] > 0 && sizes[y] > 0)
            .min_by(|&(a, b), &(c, d)| matrix[a][b].total_cmp(&matrix[c][d]))
            .expect("at least two clusters are left");
        merges.push(merge(clusters[x], clusters[y], matrix[x][y], sizes[x] + sizes[y]));
        merge_places(linkage, &mut matrix, &mut sizes, x, y);
        clusters[y] = count + step;
    }
    merges
}

fn square(distances: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut matrix = vec![vec![0.0; distances.len()]; distances.len()];
    for (i, later) in distances.iter().enumerate() {
        for (&distance, j) in later.iter().zip(i + 1..) {
            matrix[i][j] = distance;
            matrix[j][i] = distance;
        }
    }
    matrix
}

/// Merges the cluster in place `x` into the one in place `y`.
fn merge_places(linkage: Linkage, matrix: &mut [Vec<f64>], sizes: &mut [usize], x: usize, y: usize) {
    let halves = Halves { distance: matrix[x][y], size_x: sizes[x] as f64, size_y: sizes[y] as f64 };
    sizes[y] += sizes[x];
    sizes[x] = 0;
    for z in 0..sizes.len() {
        if sizes[z] > 0 && z != y {
            let merged = merged_distance(linkage, matrix[z][x], matrix[z][y], halves, sizes[z] as f64);
            matrix[z][y] = merged;
            matrix[y][z] = merged;
        }
    }
}

/// The first of the nearest places after `place`, and its distance.
fn nearest(matrix: &[Vec<f64>], sizes: &[usize], place: usize) -> (usize, f64) {
    let mut best = (matrix.len() - 1, f64::INFINITY);
    for other in place + 1..matrix.len() {
        if sizes[other] > 0 && matrix[place][other] < best.1 {
            best = (other, matrix[place][other]);
        }
    }
    best
}
