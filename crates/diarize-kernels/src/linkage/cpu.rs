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
        places.retain(|&place| place != x);

        for &z in places.iter().take_while(|&&z| z < y) {
            let zx = matrix.index(z.min(x), z.max(x));
            let zy = matrix.index(z, y);
            let (to_x, to_y) = (matrix.distances[zx], matrix.distances[zy]);
            let merged = merged_distance(linkage, to_x, to_y, halves, sizes[z] as f64);
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
        let length = matrix.count - y - 1;
        let (before, row_y) = matrix.distances.split_at_mut(start_y);
        let (row_x, row_y) = (&before[start_x..][..length], &mut row_y[..length]);
        merge_rows(linkage, row_x, row_y, halves);
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

/// Distances of the places after `y` from `y`, once `x` went into it. Neither linkage depends on the
/// sizes of those.
fn merge_rows(linkage: Linkage, row_x: &[f64], row_y: &mut [f64], halves: Halves) {
    for (&zx, zy) in row_x.iter().zip(row_y) {
        *zy = merged_distance(linkage, zx, *zy, halves, 1.0);
    }
}
