//! The algorithm on a full square matrix, one step after the other.

use super::{Merge, check, heap::Heap, merge, merged_distance};

/// [`super::centroid`], plainly.
///
/// # Panics
/// As [`super::centroid`].
pub fn centroid(distances: &[f64], count: usize) -> Vec<Merge> {
    check(distances, count);
    if count < 2 {
        return Vec::new();
    }
    let mut matrix = vec![vec![0.0; count]; count];
    let pairs = (0..count).flat_map(|i| (i + 1..count).map(move |j| (i, j)));
    for ((i, j), &distance) in pairs.zip(distances) {
        matrix[i][j] = distance;
        matrix[j][i] = distance;
    }
    let mut sizes = vec![1; count]; // 0 for a place whose cluster went into another
    let mut clusters: Vec<usize> = (0..count).collect(); // the cluster in each place
    let (mut neighbours, bounds): (Vec<usize>, Vec<f64>) =
        (0..count - 1).map(|place| nearest(&matrix, &sizes, place)).unzip();
    let mut heap = Heap::new(bounds);
    let mut merges = Vec::with_capacity(count - 1);

    for step in 0..count - 1 {
        let (x, y, distance) = loop {
            let (x, bound) = heap.min();
            if bound == matrix[x][neighbours[x]] {
                break (x, neighbours[x], bound);
            }
            let (neighbour, distance) = nearest(&matrix, &sizes, x);
            neighbours[x] = neighbour;
            heap.change(x, distance);
        };
        heap.remove_min();

        let (size_x, size_y) = (sizes[x], sizes[y]);
        merges.push(merge(clusters[x], clusters[y], distance, size_x + size_y));
        sizes[x] = 0;
        sizes[y] = size_x + size_y;
        clusters[y] = count + step;

        for z in 0..count {
            if sizes[z] > 0 && z != y {
                let merged =
                    merged_distance(matrix[z][x], matrix[z][y], distance, size_x as f64, size_y as f64);
                matrix[z][y] = merged;
                matrix[y][z] = merged;
            }
        }
        for z in 0..x {
            if sizes[z] > 0 && neighbours[z] == x {
                neighbours[z] = y;
            }
        }
        for z in 0..y {
            if sizes[z] > 0 && matrix[z][y] < heap.value(z) {
                neighbours[z] = y;
                heap.change(z, matrix[z][y]);
            }
        }
        if y < count - 1 {
            let (neighbour, distance) = nearest(&matrix, &sizes, y);
            neighbours[y] = neighbour;
            heap.change(y, distance);
        }
    }
    merges
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
