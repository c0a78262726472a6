//! The algorithm with a heap of lower bounds, for centroid and median linkage.
//!
//! Distances to a place that is no longer in use become infinite, so the nearest neighbour is the
//! first minimum of a contiguous row.

use rayon::prelude::*;

use super::{Condensed, Halves, Linkage, Merge, heap::Heap, merge, merged_distance};

pub(super) fn linkage(linkage: Linkage, mut matrix: Condensed, sizes: &[usize]) -> Vec<Merge> {
    let count = matrix.count;
    let mut sizes = sizes.to_vec();
    let mut clusters: Vec<usize> = (0..count).collect(); // the cluster in each place
    let mut places = clusters.clone(); // those in use, in order
    let (mut neighbours, bounds): (Vec<usize>, Vec<f64>) =
        (0..count - 1).into_par_iter().map(|place| matrix.nearest(place)).unzip();
    let mut heap = Heap::new(bounds);
    let mut merges = Vec::with_capacity(count - 1);
    let (mut to_x, mut to_y) = (Vec::with_capacity(count), Vec::with_capacity(count));

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
        let halves = Halves { distance, size_x: sizes[x] as f64, size_y: sizes[y] as f64 };
        sizes[y] += sizes[x];
        clusters[y] = count + step;
        let index_x = before(&places, x).len();
        places.remove(index_x);

        // Places before y: first all that must be waited for, then what follows from it.
        let before_y = before(&places, y);
        let (before_x, between) = before_y.split_at(index_x);
        to_x.clear();
        to_x.extend(before_x.iter().map(|&z| matrix.distances[matrix.index(z, x)]));
        to_x.extend(between.iter().map(|&z| matrix.distances[matrix.index(x, z)]));
        to_y.clear();
        to_y.extend(before_y.iter().map(|&z| matrix.distances[matrix.index(z, y)]));
        merge_rows(linkage, &to_x, &mut to_y, halves);
        for &z in before_x {
            let zx = matrix.index(z, x);
            matrix.distances[zx] = f64::INFINITY;
            if neighbours[z] == x {
                neighbours[z] = y;
            }
        }
        for (&z, &merged) in before_y.iter().zip(&to_y) {
            let zy = matrix.index(z, y);
            matrix.distances[zy] = merged;
            if merged < heap.value(z) {
                neighbours[z] = y;
                heap.change(z, merged);
            }
        }
        // Places after y: both rows are contiguous, and infinite where a place is not in use.
        let (start_x, start_y) = (matrix.index(x, y + 1), matrix.row_start(y));
        let length = matrix.count - y - 1;
        let (rows_before, row_y) = matrix.distances.split_at_mut(start_y);
        merge_rows(linkage, &rows_before[start_x..][..length], &mut row_y[..length], halves);
        if y < matrix.count - 1 {
            let (neighbour, distance) = matrix.nearest(y);
            neighbours[y] = neighbour;
            heap.change(y, distance);
        }

        if let Some(moved) = matrix.move_together(&places) {
            sizes = places.iter().map(|&place| sizes[place]).collect();
            clusters = places.iter().map(|&place| clusters[place]).collect();
            // The last place has no neighbour; it is always in use.
            neighbours = places[..places.len() - 1].iter().map(|&place| moved[neighbours[place]]).collect();
            heap.rename(&moved);
            places = (0..places.len()).collect();
        }
    }
    merges
}

/// Those of `places`, which are in order, that lie before `place`.
fn before(places: &[usize], place: usize) -> &[usize] {
    &places[..places.partition_point(|&other| other < place)]
}

/// Distances of other places from `y`, once `x` went into it. Neither linkage depends on their sizes.
fn merge_rows(linkage: Linkage, row_x: &[f64], row_y: &mut [f64], halves: Halves) {
    for (&zx, zy) in row_x.iter().zip(row_y) {
        *zy = merged_distance(linkage, zx, *zy, halves, 1.0);
    }
}
