//! A condensed distance matrix that is modified in place.

use super::{Compaction, worth_compacting};

/// Distances between places: the upper triangle, row by row.
pub(super) struct Condensed {
    pub(super) distances: Vec<f64>,
    pub(super) count: usize,
}

impl Condensed {
    pub(super) fn new(distances: Vec<f64>, count: usize) -> Self {
        Self { distances, count }
    }

    /// The index of the distance between `a` and `b`, where `a < b`.
    pub(super) fn index(&self, a: usize, b: usize) -> usize {
        self.row_start(a) + b - a - 1
    }

    /// The index of the first distance from `place` to a later place.
    pub(super) fn row_start(&self, place: usize) -> usize {
        place * (2 * self.count - place - 1) / 2
    }

    /// Keeps only `places`, the places in use, and renumbers them in order. Does nothing while too few places
    /// are unused.
    pub(super) fn compact(&mut self, places: &[usize]) -> Option<Compaction> {
        if !worth_compacting(places.len(), self.count) {
            return None;
        }
        let compaction = Compaction::new(places, self.count);
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
        Some(compaction)
    }

    /// The distance between two different places.
    pub(super) fn get(&self, a: usize, b: usize) -> f64 {
        self.distances[self.index(a.min(b), a.max(b))]
    }
}
