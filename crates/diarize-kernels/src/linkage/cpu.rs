//! The algorithm based on a heap of lower bounds, for centroid and median linkage.

use rayon::prelude::*;

use super::{Distances, Halves, Linkage, Merge, heap::Heap, merge};

pub(super) fn linkage(
    linkage: Linkage,
    mut distances: Distances,
    sizes: &[usize],
    may_continue: &dyn Fn() -> bool,
) -> Option<Vec<Merge>> {
    let count = distances.count;
    let mut sizes = sizes.to_vec();
    let mut clusters: Vec<usize> = (0..count).collect(); // the cluster in each place
    let (mut neighbors, bounds): (Vec<usize>, Vec<f64>) =
        (0..count - 1).into_par_iter().map(|place| distances.nearest_after(place)).unzip();
    let mut heap = Heap::new(bounds);
    let mut merges = Vec::with_capacity(count - 1);

    for step in 0..count - 1 {
        if !may_continue() {
            return None;
        }
        let (x, y, distance) = loop {
            let (x, bound) = heap.min();
            if bound == distances.get(x, neighbors[x]) {
                break (x, neighbors[x], bound);
            }
            let (neighbor, distance) = distances.nearest_after(x);
            neighbors[x] = neighbor;
            heap.change(x, distance);
        };
        heap.remove_min();

        merges.push(merge(clusters[x], clusters[y], distance, sizes[x] + sizes[y]));
        let halves = Halves { distance, size_x: sizes[x] as f64, size_y: sizes[y] as f64 };
        let merged = distances.merged(linkage, x, y, halves);
        sizes[y] += sizes[x];
        clusters[y] = count + step;

        for &z in distances.before(x) {
            if neighbors[z] == x {
                neighbors[z] = y;
            }
        }
        for &z in distances.before(y).iter().filter(|&&z| z != x) {
            if merged[z] < heap.value(z) {
                neighbors[z] = y;
                heap.change(z, merged[z]);
            }
        }
        distances.merge(x, y, merged);
        if y < distances.count - 1 {
            let (neighbor, distance) = distances.nearest_after(y);
            neighbors[y] = neighbor;
            heap.change(y, distance);
        }

        if let Some(compaction) = distances.compact() {
            sizes = compaction.take_used(&mut sizes);
            clusters = compaction.take_used(&mut clusters);
            // The last place is always in use and has no neighbor.
            let places = &compaction.old[..distances.count - 1];
            neighbors = places.iter().map(|&place| compaction.new[neighbors[place]]).collect();
            heap.rename(&compaction.new);
        }
    }
    Some(merges)
}
