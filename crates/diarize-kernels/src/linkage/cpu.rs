//! The fast path: condensed distances, worked on in place.
//!
//! Distances to a place that is no longer in use become infinite, so the nearest neighbour is the
//! first minimum of a contiguous row.

use pulp::Arch;
use rayon::prelude::*;

use super::{Merge, heap::Heap, merge, merged_distance};

/// Distances between places, the upper triangle row by row.
struct Condensed {
    distances: Vec<f64>,
    count: usize,
    arch: Arch,
}

impl Condensed {
    /// Where the distance of `a` and `b` is, for `a < b`.
    fn index(&self, a: usize, b: usize) -> usize {
        self.row_start(a) + b - a - 1
    }

    /// Where the distances of `place` to those after it begin.
    fn row_start(&self, place: usize) -> usize {
        place * (2 * self.count - place - 1) / 2
    }

    fn get(&self, a: usize, b: usize) -> f64 {
        self.distances[self.index(a, b)]
    }

    /// The first of the nearest places after `place`, and its distance.
    fn nearest(&self, place: usize) -> (usize, f64) {
        let row = &self.distances[self.row_start(place)..self.row_start(place + 1)];
        let smallest = self.arch.dispatch(|| minimum(row));
        let offset = row.iter().position(|&distance| distance == smallest);
        (place + 1 + offset.expect("the last place is always in use"), smallest)
    }
}

/// The smallest of the values, none of which is NaN.
#[inline(always)]
fn minimum(values: &[f64]) -> f64 {
    const LANES: usize = 16;
    let smaller = |a: f64, b: f64| if b < a { b } else { a };
    let mut lanes = [f64::INFINITY; LANES];
    let (blocks, rest) = values.as_chunks::<LANES>();
    for block in blocks {
        for (lane, &value) in lanes.iter_mut().zip(block) {
            *lane = smaller(*lane, value);
        }
    }
    rest.iter().chain(&lanes).copied().fold(f64::INFINITY, smaller)
}

pub(super) fn centroid(distances: Vec<f64>, count: usize) -> Vec<Merge> {
    if count < 2 {
        return Vec::new();
    }
    let mut matrix = Condensed { distances, count, arch: Arch::new() };
    let mut sizes = vec![1; count];
    let mut clusters: Vec<usize> = (0..count).collect(); // the cluster in each place
    let mut places = clusters.clone(); // those in use, in order
    let (mut neighbours, bounds): (Vec<usize>, Vec<f64>) =
        (0..count - 1).into_par_iter().map(|place| matrix.nearest(place)).unzip();
    let mut heap = Heap::new(bounds);
    let mut merges = Vec::with_capacity(count - 1);

    for step in 0..count - 1 {
        let (x, y, distance) = loop {
            let (x, bound) = heap.min();
            if bound == matrix.get(x, neighbours[x]) {
                break (x, neighbours[x], bound);
            }
            let (neighbour, distance) = matrix.nearest(x);
            neighbours[x] = neighbour;
            heap.change(x, distance);
        };
        heap.remove_min();

        merges.push(merge(clusters[x], clusters[y], distance, sizes[x] + sizes[y]));
        let (size_x, size_y) = (sizes[x] as f64, sizes[y] as f64);
        sizes[y] += sizes[x];
        clusters[y] = count + step;
        places.retain(|&place| place != x);

        for &z in places.iter().take_while(|&&z| z < y) {
            let zx = matrix.index(z.min(x), z.max(x));
            let zy = matrix.index(z, y);
            let merged =
                merged_distance(matrix.distances[zx], matrix.distances[zy], distance, size_x, size_y);
            matrix.distances[zy] = merged;
            if z < x {
                matrix.distances[zx] = f64::INFINITY;
                if neighbours[z] == x {
                    neighbours[z] = y;
                }
            }
            if merged < heap.value(z) {
                neighbours[z] = y;
                heap.change(z, merged);
            }
        }
        // Places after y: both rows are contiguous, and infinite where a place is not in use.
        let (start_x, start_y) = (matrix.index(x, y + 1), matrix.row_start(y));
        let (before, row_y) = matrix.distances.split_at_mut(start_y);
        let (row_x, row_y) = (&before[start_x..][..count - y - 1], &mut row_y[..count - y - 1]);
        matrix.arch.dispatch(|| merge_rows(row_x, row_y, distance, size_x, size_y));
        if y < count - 1 {
            let (neighbour, distance) = matrix.nearest(y);
            neighbours[y] = neighbour;
            heap.change(y, distance);
        }
    }
    merges
}

/// Distances of the places after `y` from `y`, once `x` went into it.
#[inline(always)]
fn merge_rows(row_x: &[f64], row_y: &mut [f64], distance: f64, size_x: f64, size_y: f64) {
    for (&zx, zy) in row_x.iter().zip(row_y) {
        *zy = merged_distance(zx, *zy, distance, size_x, size_y);
    }
}
