//! Distances of all pairs of places, worked on in place.

use super::{Moved, few};

/// Distances between places, the upper triangle row by row.
pub(super) struct Condensed {
    pub(super) distances: Vec<f64>,
    pub(super) count: usize,
}

impl Condensed {
    pub(super) fn new(distances: Vec<f64>, count: usize) -> Self {
        Self { distances, count }
    }

    /// Where the distance of `a` and `b` is, for `a < b`.
    pub(super) fn index(&self, a: usize, b: usize) -> usize {
        self.row_start(a) + b - a - 1
    }

    /// Where the distances of `place` to those after it begin.
    pub(super) fn row_start(&self, place: usize) -> usize {
        place * (2 * self.count - place - 1) / 2
    }

    /// Where a quarter of the places is no longer in use, the others, `places`, move together in order.
    pub(super) fn move_together(&mut self, places: &[usize]) -> Option<Moved> {
        if !few(places.len(), self.count) {
            return None;
        }
        let moved = Moved::new(places, self.count);
        let mut kept = 0;
        for (new, &a) in places.iter().enumerate() {
            let row = self.row_start(a);
            for &b in &places[new + 1..] {
                self.distances[kept] = self.distances[row + b - a - 1];
                kept += 1;
            }
        }
        self.distances.truncate(kept);
        self.count = places.len();
        Some(moved)
    }

    /// The distance of two different places.
    pub(super) fn get(&self, a: usize, b: usize) -> f64 {
        self.distances[self.index(a.min(b), a.max(b))]
    }
}
