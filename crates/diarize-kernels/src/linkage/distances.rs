//! The distances between all pairs of clusters while clusters are merged.

use pulp::{Simd, WithSimd};

use super::{Compaction, Halves, Linkage, merged_distance, worth_compacting};
use crate::simd;

/// The distances between the clusters. Each cluster occupies a place.
///
/// A single vector has its distances to the single vectors after it. Reading those is fast. Reading its distances
/// to earlier vectors is slow, because every value lies in a different cache line and page. A merged cluster
/// therefore has its distances to all places. The vectors that it consists of free theirs, so that the memory for
/// all distances grows little.
pub(super) struct Distances {
    /// Number of places, used and unused.
    pub(super) count: usize,
    /// The places in use, in order.
    pub(super) places: Vec<usize>,
    /// Number of columns of the single vectors' distances, used and unused.
    columns: usize,
    /// The single vectors, ordered by place.
    singles: Vec<Single>,
    /// The places of the merged clusters, unordered.
    merged: Vec<usize>,
    /// For each place, the distances of its merged cluster to all places; empty if it holds no merged cluster.
    /// The entries for unused places and for the cluster itself are meaningless.
    rows: Vec<Vec<f64>>,
    /// Buffers for the distances of two clusters.
    buffers: [Vec<f64>; 2],
}

struct Single {
    place: usize,
    column: usize,
    /// The distances to the columns after its own.
    later: Vec<f64>,
}

impl Single {
    /// The distance to a later single vector.
    #[inline(always)]
    fn to(&self, other: &Self) -> f64 {
        self.later[other.column - self.column - 1]
    }
}

impl Distances {
    /// Takes the distances from each vector to those after it ([`crate::cdist::euclidean_pairs`]).
    pub(super) fn new(distances: Vec<Vec<f64>>) -> Self {
        let count = distances.len();
        let single = |(place, later)| Single { place, column: place, later };
        Self {
            count,
            places: (0..count).collect(),
            columns: count,
            singles: distances.into_iter().enumerate().map(single).collect(),
            merged: Vec::new(),
            rows: vec![Vec::new(); count],
            buffers: [Vec::new(), Vec::new()],
        }
    }

    /// The distance between two different places.
    pub(super) fn get(&self, a: usize, b: usize) -> f64 {
        let (a, b) = (a.min(b), a.max(b));
        match (self.rows[a].get(b), self.rows[b].get(a)) {
            (Some(&distance), _) | (None, Some(&distance)) => distance,
            (None, None) => self.singles[self.single(a)].to(&self.singles[self.single(b)]),
        }
    }

    /// The distances from a place to every other place in use. All other entries are meaningless.
    fn of<'a>(&'a self, place: usize, buffer: &'a mut Vec<f64>) -> &'a [f64] {
        if !self.rows[place].is_empty() {
            return &self.rows[place];
        }
        buffer.resize(self.count, 0.0);
        let (before, rest) = self.singles.split_at(self.single(place));
        let (single, after) = rest.split_first().expect("the place is in use");
        for other in before {
            buffer[other.place] = other.to(single);
        }
        for other in after {
            buffer[other.place] = single.to(other);
        }
        for &other in &self.merged {
            buffer[other] = self.rows[other][place];
        }
        buffer
    }

    /// The first of the nearest places after `place`, and its distance. It exists because the last place is
    /// always in use.
    pub(super) fn nearest_after(&self, place: usize) -> (usize, f64) {
        let after = &self.singles[self.singles.partition_point(|single| single.place <= place)..];
        let merged = self.merged.iter().copied().filter(|&other| other > place);
        let row = &self.rows[place];
        if row.is_empty() {
            let single = &self.singles[self.single(place)];
            let singles = after.iter().map(|other| (other.place, single.to(other)));
            first_nearest(singles, merged.map(|other| (other, self.rows[other][place])))
        } else {
            let singles = after.iter().map(|other| (other.place, row[other.place]));
            first_nearest(singles, merged.map(|other| (other, row[other])))
        }
    }

    /// The distances from the cluster merged from `x` and `y` to every other place in use.
    pub(super) fn merged(&mut self, linkage: Linkage, x: usize, y: usize, halves: Halves) -> Vec<f64> {
        let [mut buffer_x, mut buffer_y] = std::mem::take(&mut self.buffers);
        let (to_x, to_y) = (self.of(x, &mut buffer_x), self.of(y, &mut buffer_y));
        let merged = simd::arch().dispatch(Merged { linkage, halves, to_x, to_y });
        self.buffers = [buffer_x, buffer_y];
        merged
    }

    /// Merges the cluster in place `x` into the one in place `y`. `distances` are those of the merged cluster.
    pub(super) fn merge(&mut self, x: usize, y: usize, distances: Vec<f64>) {
        for place in [x, y] {
            if self.rows[place].is_empty() {
                self.singles.remove(self.single(place));
            } else {
                self.merged.retain(|&other| other != place);
            }
        }
        self.places.remove(self.before(x).len());
        for &other in &self.merged {
            self.rows[other][y] = distances[other];
        }
        self.merged.push(y);
        self.rows[x] = Vec::new();
        self.rows[y] = distances;
        if worth_compacting(self.singles.len(), self.columns) {
            self.drop_columns();
        }
    }

    /// The places in use before `place`.
    pub(super) fn before(&self, place: usize) -> &[usize] {
        &self.places[..self.places.partition_point(|&other| other < place)]
    }

    /// Drops the unused places and renumbers the others in order. Does nothing while too few places are unused.
    pub(super) fn compact(&mut self) -> Option<Compaction> {
        if !worth_compacting(self.places.len(), self.count) {
            return None;
        }
        let compaction = Compaction::new(&self.places, self.count);
        self.count = self.places.len();
        self.places = (0..self.count).collect();
        self.rows = compaction.take_used(&mut self.rows);
        for row in self.rows.iter_mut().filter(|row| !row.is_empty()) {
            *row = compaction.take_used(row);
        }
        self.singles.iter_mut().for_each(|single| single.place = compaction.new[single.place]);
        self.merged.iter_mut().for_each(|place| *place = compaction.new[*place]);
        Some(compaction)
    }

    /// Keeps the columns that are still in use.
    fn drop_columns(&mut self) {
        for index in 0..self.singles.len() {
            let (single, after) = (&self.singles[index], &self.singles[index + 1..]);
            self.singles[index].later = after.iter().map(|other| single.to(other)).collect();
        }
        self.columns = self.singles.len();
        self.singles.iter_mut().enumerate().for_each(|(column, single)| single.column = column);
    }

    /// The index in `singles` of the vector in `place`.
    fn single(&self, place: usize) -> usize {
        self.singles.partition_point(|single| single.place < place)
    }
}

/// The nearest of the single vectors, which are ordered by place, and the merged clusters. On ties the first
/// place wins.
#[inline(always)]
fn first_nearest(
    singles: impl Iterator<Item = (usize, f64)>,
    merged: impl Iterator<Item = (usize, f64)>,
) -> (usize, f64) {
    let first = (usize::MAX, f64::INFINITY);
    let nearest = singles.fold(first, |best, other| if other.1 < best.1 { other } else { best });
    merged.fold(nearest, |best, other| {
        if other.1 < best.1 || (other.1 == best.1 && other.0 < best.0) { other } else { best }
    })
}

/// Computes the distances of a merged cluster from those of its halves. This is a type because a closure would
/// be compiled without the vector instructions.
struct Merged<'a> {
    linkage: Linkage,
    halves: Halves,
    to_x: &'a [f64],
    to_y: &'a [f64],
}

impl WithSimd for Merged<'_> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Vec<f64> {
        let Self { linkage, halves, to_x, to_y } = self;
        // Centroid and median linkage do not depend on the size of the third cluster.
        to_x.iter().zip(to_y).map(|(&x, &y)| merged_distance(linkage, x, y, halves, 1.0)).collect()
    }
}
