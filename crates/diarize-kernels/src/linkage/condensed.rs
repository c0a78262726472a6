//! Distances of all pairs of places, worked on in place.

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

    /// Where a quarter of the places is no longer in use, the others, `places`, move together in order: most
    /// of the time is spent waiting for memory, and less of it is faster. Gives the new place of each.
    pub(super) fn move_together(&mut self, places: &[usize]) -> Option<Vec<usize>> {
        const FEW: usize = 64;
        if self.count <= FEW || 4 * places.len() >= 3 * self.count {
            return None;
        }
        let mut moved = vec![usize::MAX; self.count];
        let mut kept = 0;
        for (new, &a) in places.iter().enumerate() {
            moved[a] = new;
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

    /// The first of the nearest places after `place`, and its distance.
    pub(super) fn nearest(&self, place: usize) -> (usize, f64) {
        let row = &self.distances[self.row_start(place)..self.row_start(place + 1)];
        let smallest = minimum(row);
        let offset = row.iter().position(|&distance| distance == smallest);
        (place + 1 + offset.expect("the last place is always in use"), smallest)
    }
}

/// The smallest of the values, none of which is NaN.
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
