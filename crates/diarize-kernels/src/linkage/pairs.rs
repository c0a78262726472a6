//! The distances of all pairs, modified in place.

use super::{Compaction, worth_compacting};

/// Distances between places.
pub(super) struct Pairs {
    /// For each place, the distances to the later places.
    later: Vec<Vec<f64>>,
    pub(super) count: usize,
}

impl Pairs {
    pub(super) fn new(later: Vec<Vec<f64>>) -> Self {
        Self { count: later.len(), later }
    }

    /// Keeps only `places`, the places in use, and renumbers them in order. Does nothing while too few places
    /// are unused.
    pub(super) fn compact(&mut self, places: &[usize]) -> Option<Compaction> {
        if !worth_compacting(places.len(), self.count) {
            return None;
        }
        let compaction = Compaction::new(places, self.count);
        let kept = |(index, &place): (usize, &usize)| {
            let later = std::mem::take(&mut self.later[place]);
            places[index + 1..].iter().map(|other| later[other - place - 1]).collect()
        };
        self.later = places.iter().enumerate().map(kept).collect();
        self.count = places.len();
        Some(compaction)
    }

    /// The distance between two different places.
    pub(super) fn get(&self, a: usize, b: usize) -> f64 {
        self.later[a.min(b)][a.abs_diff(b) - 1]
    }

    /// Changes the distance between two different places.
    pub(super) fn set(&mut self, a: usize, b: usize, distance: f64) {
        self.later[a.min(b)][a.abs_diff(b) - 1] = distance;
    }
}
