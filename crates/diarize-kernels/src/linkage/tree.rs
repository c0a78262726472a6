//! Prim's algorithm for the minimum spanning tree. Its edges are the merges of single linkage.

use super::{Merge, Pairs, unsorted};

pub(super) fn linkage(
    matrix: &Pairs,
    sizes: &[usize],
    may_continue: &dyn Fn() -> bool,
) -> Option<Vec<Merge>> {
    let mut outside: Vec<usize> = (1..matrix.count).collect();
    let mut distances = vec![f64::INFINITY; matrix.count]; // to the tree
    let mut edges = Vec::with_capacity(matrix.count - 1);
    let mut last = 0;
    while !outside.is_empty() {
        if !may_continue() {
            return None;
        }
        let mut nearest = (0, f64::INFINITY);
        for &place in &outside {
            distances[place] = distances[place].min(matrix.get(last, place));
            if distances[place] < nearest.1 {
                nearest = (place, distances[place]);
            }
        }
        // Like SciPy, record the place added last instead of the nearest place in the tree. After sorting,
        // the dendrogram is the same.
        edges.push((last, nearest.0, nearest.1));
        last = nearest.0;
        outside.retain(|&place| place != last);
    }
    Some(unsorted::dendrogram(edges, sizes))
}
