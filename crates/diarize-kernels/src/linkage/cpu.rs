//! The algorithm with a heap of lower bounds, for centroid and median linkage.
//!
//! Distances to a place that is no longer in use become infinite, so the nearest neighbour is the
//! first minimum of a contiguous row. Where a quarter of the places is no longer in use, the others move
//! together: most of the time is spent waiting for memory, and less of it is faster.

use rayon::prelude::*;

use super::{Condensed, Halves, Linkage, Merge, heap::Heap, merge, merged_distance};

/// Fewer places are not moved together.
const FEW: usize = 64;
/// As many rows are worth a thread.
const ROWS_OF_A_THREAD: usize = 512;

pub(super) fn linkage(linkage: Linkage, mut matrix: Condensed, sizes: &[usize]) -> Vec<Merge> {
    let count = matrix.count;
    let mut sizes = sizes.to_vec();
    let mut clusters: Vec<usize> = (0..count).collect(); // the cluster in each place
    let mut places = clusters.clone(); // those in use, in order
    let (mut neighbours, bounds): (Vec<usize>, Vec<f64>) =
        (0..count - 1).into_par_iter().map(|place| matrix.nearest(place)).unzip();
    let mut heap = Heap::new(bounds);
    let mut merges = Vec::with_capacity(count - 1);
    let mut merged = Vec::with_capacity(count);

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

        let before = &places[..places.partition_point(|&z| z < y)];
        merge_columns(linkage, &mut matrix, (x, y), halves, before, &mut merged);
        for (&z, &distance) in before.iter().zip(&merged) {
            if z < x && neighbours[z] == x {
                neighbours[z] = y;
            }
            if distance < heap.value(z) {
                neighbours[z] = y;
                heap.change(z, distance);
            }
        }
        merge_rows(linkage, &mut matrix, (x, y), halves);
        if y < matrix.count - 1 {
            let (neighbour, distance) = matrix.nearest(y);
            neighbours[y] = neighbour;
            heap.change(y, distance);
        }

        if matrix.count > FEW && 4 * places.len() < 3 * matrix.count {
            matrix.keep(&places);
            let mut moved = vec![usize::MAX; clusters.len()];
            places.iter().enumerate().for_each(|(new, &old)| moved[old] = new);
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

/// Distances of the places `before` y from y, once x went into it: in their rows, and in `merged`. Those
/// from x become infinite.
fn merge_columns(
    linkage: Linkage,
    matrix: &mut Condensed,
    (x, y): (usize, usize),
    halves: Halves,
    before: &[usize],
    merged: &mut Vec<f64>,
) {
    merged.clear();
    merged.resize(before.len(), 0.0);
    let row_x = matrix.row(x)[..y - x - 1].to_vec();
    let (count, end) = (matrix.count, matrix.row_start(y));
    let merge = |distances: &mut [f64], places: &[usize], merged: &mut [f64]| {
        let first = Condensed::start_of_row(count, places[0]);
        for (&z, merged) in places.iter().zip(merged) {
            let row = &mut distances[Condensed::start_of_row(count, z) - first..];
            let to_x = match z < x {
                true => std::mem::replace(&mut row[x - z - 1], f64::INFINITY),
                false => row_x[z - x - 1],
            };
            let to_y = &mut row[y - z - 1];
            // Neither linkage depends on the size of the third cluster.
            *merged = merged_distance(linkage, to_x, *to_y, halves, 1.0);
            *to_y = *merged;
        }
    };
    let rows = before.len().div_ceil(rayon::current_num_threads()).max(ROWS_OF_A_THREAD);
    let mut rest = &mut matrix.distances[..end];
    let mut start = 0; // of the rest
    let mut pieces = Vec::new();
    for (places, merged) in before.chunks(rows).zip(merged.chunks_mut(rows)) {
        let skipped = Condensed::start_of_row(count, places[0]) - start;
        let length = Condensed::start_of_row(count, places[places.len() - 1] + 1) - start - skipped;
        let (piece, after) = rest.split_at_mut(skipped).1.split_at_mut(length);
        pieces.push((piece, places, merged));
        rest = after;
        start += skipped + length;
    }
    match pieces.len() {
        1 => pieces.into_iter().for_each(|(distances, places, merged)| merge(distances, places, merged)),
        _ => pieces.into_par_iter().for_each(|(distances, places, merged)| merge(distances, places, merged)),
    }
}

/// Distances of the places after y from y, once x went into it: both rows are contiguous, and infinite
/// where a place is not in use.
fn merge_rows(linkage: Linkage, matrix: &mut Condensed, (x, y): (usize, usize), halves: Halves) {
    let (start_x, start_y) = (matrix.index(x, y + 1), matrix.row_start(y));
    let length = matrix.count - y - 1;
    let (before, row_y) = matrix.distances.split_at_mut(start_y);
    let (row_x, row_y) = (&before[start_x..][..length], &mut row_y[..length]);
    matrix.arch.dispatch(|| merge_row(linkage, row_x, row_y, halves));
}

#[inline(always)]
fn merge_row(linkage: Linkage, row_x: &[f64], row_y: &mut [f64], halves: Halves) {
    for (&zx, zy) in row_x.iter().zip(row_y) {
        *zy = merged_distance(linkage, zx, *zy, halves, 1.0);
    }
}
