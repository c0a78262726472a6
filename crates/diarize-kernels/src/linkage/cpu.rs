//! The algorithm with a heap of lower bounds, for centroid and median linkage.

use rayon::prelude::*;

use super::{Distances, Halves, Linkage, Merge, heap::Heap, merge};

pub(super) fn linkage(linkage: Linkage, mut distances: Distances, sizes: &[usize]) -> Vec<Merge> {
    let count = distances.count;
    let mut sizes = sizes.to_vec();
    let mut clusters: Vec<usize> = (0..count).collect(); // the cluster in each place
    let (mut neighbours, bounds): (Vec<usize>, Vec<f64>) =
        (0..count - 1).into_par_iter().map(|place| distances.nearest_after(place)).unzip();
    let mut heap = Heap::new(bounds);
    let mut merges = Vec::with_capacity(count - 1);

    for step in 0..count - 1 {
        let (x, y, distance) = loop {
            let (x, bound) = heap.min();
            if bound == distances.get(x, neighbours[x]) {
                break (x, neighbours[x], bound);
            }
            let (neighbour, distance) = distances.nearest_after(x);
            neighbours[x] = neighbour;
            heap.change(x, distance);
        };
        heap.remove_min();

        merges.push(merge(clusters[x], clusters[y], distance, sizes[x] + sizes[y]));
        let halves = Halves { distance, size_x: sizes[x] as f64, size_y: sizes[y] as f64 };
        let merged = distances.merged(linkage, x, y, halves);
        sizes[y] += sizes[x];
        clusters[y] = count + step;

        for &z in distances.before(x) {
            if neighbours[z] == x {
                neighbours[z] = y;
            }
        }
        for &z in distances.before(y).iter().filter(|&&z| z != x) {
            if merged[z] < heap.value(z) {
                neighbours[z] = y;
                heap.change(z, merged[z]);
            }
        }
        distances.merge(x, y, merged);
        if y < distances.count - 1 {
            let (neighbour, distance) = distances.nearest_after(y);
            neighbours[y] = neighbour;
            heap.change(y, distance);
        }

        if let Some(moved) = distances.move_together() {
            sizes = moved.in_use(&mut sizes);
            clusters = moved.in_use(&mut clusters);
            // The last place has no neighbour; it is always in use.
            let places = &moved.old[..distances.count - 1];
            neighbours = places.iter().map(|&place| moved.new[neighbours[place]]).collect();
            heap.rename(&moved.new);
        }
    }
    merges
}
