//! Distances of all pairs of clusters, while clusters merge.

use pulp::{Simd, WithSimd};

use super::{Halves, Linkage, Moved, few, merged_distance};
use crate::simd;

/// The distances of the clusters in the places in use.
///
/// Those of single vectors with each other are in a triangle. Its rows are quick to read; its columns are not,
/// since each value is in a cache line and a page of its own. So a merged cluster has a row of its own with its
/// distance to every place, and only single vectors before a single one are looked up in a column.
pub(super) struct Distances {
    /// Places, in use or not.
    pub(super) count: usize,
    /// Those in use, in order.
    pub(super) places: Vec<usize>,
    /// The distances of single vectors to those after them, row by row.
    triangle: Vec<f64>,
    /// Columns of the triangle, in use or not.
    columns: usize,
    /// The places of single vectors, in order.
    singles: Vec<Single>,
    /// The places of merged clusters, in no order.
    merged: Vec<usize>,
    /// The distances of the cluster in each place to all of them, empty where it is not a merged one. What they
    /// say of places not in use, and of the cluster itself, means nothing.
    rows: Vec<Vec<f64>>,
    /// Room for the distances of two clusters.
    buffers: [Vec<f64>; 2],
}

struct Single {
    place: usize,
    column: usize,
    row: Row,
}

/// Where a row of the triangle would begin if it had a value for every column. Before the triangle does, for the
/// first: hence the sums that wrap around.
#[derive(Clone, Copy)]
struct Row(usize);

impl Row {
    fn new(column: usize, columns: usize) -> Self {
        Self((column * (2 * columns - column - 1) / 2).wrapping_sub(column + 1))
    }

    #[inline(always)]
    fn index(self, column: usize) -> usize {
        self.0.wrapping_add(column)
    }
}

impl Distances {
    /// From those of `count` vectors in the order of [`crate::cdist::euclidean_condensed`].
    pub(super) fn new(triangle: Vec<f64>, count: usize) -> Self {
        let single = |place| Single { place, column: place, row: Row::new(place, count) };
        Self {
            count,
            places: (0..count).collect(),
            triangle,
            columns: count,
            singles: (0..count).map(single).collect(),
            merged: Vec::new(),
            rows: vec![Vec::new(); count],
            buffers: [Vec::new(), Vec::new()],
        }
    }

    /// The distance of two different places.
    pub(super) fn get(&self, a: usize, b: usize) -> f64 {
        let (a, b) = (a.min(b), a.max(b));
        match (self.rows[a].get(b), self.rows[b].get(a)) {
            (Some(&distance), _) | (None, Some(&distance)) => distance,
            (None, None) => {
                let (a, b) = (&self.singles[self.single(a)], &self.singles[self.single(b)]);
                self.triangle[a.row.index(b.column)]
            }
        }
    }

    /// The distances of a place to every other one in use. What else is there means nothing.
    fn of<'a>(&'a self, place: usize, buffer: &'a mut Vec<f64>) -> &'a [f64] {
        if !self.rows[place].is_empty() {
            return &self.rows[place];
        }
        buffer.resize(self.count, 0.0);
        let (before, rest) = self.singles.split_at(self.single(place));
        let (single, after) = rest.split_first().expect("a place in use");
        for other in before {
            buffer[other.place] = self.triangle[other.row.index(single.column)];
        }
        for other in after {
            buffer[other.place] = self.triangle[single.row.index(other.column)];
        }
        for &other in &self.merged {
            buffer[other] = self.rows[other][place];
        }
        buffer
    }

    /// The first of the nearest places after `place`, and its distance. There is one, as the last place is
    /// always in use.
    pub(super) fn nearest_after(&self, place: usize) -> (usize, f64) {
        let after = &self.singles[self.singles.partition_point(|single| single.place <= place)..];
        let merged = self.merged.iter().copied().filter(|&other| other > place);
        let row = &self.rows[place];
        if row.is_empty() {
            let single = self.singles[self.single(place)].row;
            let singles = after.iter().map(|other| (other.place, self.triangle[single.index(other.column)]));
            first_nearest(singles, merged.map(|other| (other, self.rows[other][place])))
        } else {
            let singles = after.iter().map(|other| (other.place, row[other.place]));
            first_nearest(singles, merged.map(|other| (other, row[other])))
        }
    }

    /// The distances that a cluster merged of `x` and `y` will have to every other place in use.
    pub(super) fn merged(&mut self, linkage: Linkage, x: usize, y: usize, halves: Halves) -> Vec<f64> {
        let [mut buffer_x, mut buffer_y] = std::mem::take(&mut self.buffers);
        let (to_x, to_y) = (self.of(x, &mut buffer_x), self.of(y, &mut buffer_y));
        let merged = simd::arch().dispatch(Merged { linkage, halves, to_x, to_y });
        self.buffers = [buffer_x, buffer_y];
        merged
    }

    /// Merges the cluster in place `x` into that in place `y`, with the distances that it then has.
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
        if few(self.singles.len(), self.columns) {
            self.drop_columns();
        }
    }

    /// The places in use before `place`.
    pub(super) fn before(&self, place: usize) -> &[usize] {
        &self.places[..self.places.partition_point(|&other| other < place)]
    }

    /// Where a quarter of the places is no longer in use, the others move together in order.
    pub(super) fn move_together(&mut self) -> Option<Moved> {
        if !few(self.places.len(), self.count) {
            return None;
        }
        let moved = Moved::new(&self.places, self.count);
        self.count = self.places.len();
        self.places = (0..self.count).collect();
        self.rows = moved.in_use(&mut self.rows);
        for row in self.rows.iter_mut().filter(|row| !row.is_empty()) {
            *row = moved.in_use(row);
        }
        self.singles.iter_mut().for_each(|single| single.place = moved.new[single.place]);
        self.merged.iter_mut().for_each(|place| *place = moved.new[*place]);
        Some(moved)
    }

    /// Keeps the columns and rows of the triangle that are still in use.
    fn drop_columns(&mut self) {
        let mut kept = 0;
        for (index, single) in self.singles.iter().enumerate() {
            for other in &self.singles[index + 1..] {
                self.triangle[kept] = self.triangle[single.row.index(other.column)];
                kept += 1;
            }
        }
        self.triangle.truncate(kept);
        self.columns = self.singles.len();
        for (column, single) in self.singles.iter_mut().enumerate() {
            (single.column, single.row) = (column, Row::new(column, self.columns));
        }
    }

    /// Where among the single vectors that in `place` is.
    fn single(&self, place: usize) -> usize {
        self.singles.partition_point(|single| single.place < place)
    }
}

/// The nearest of single vectors, in the order of their places, and of merged clusters; of equal ones the first.
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

/// The distances of a merged cluster from those of its halves. A type: a closure would be compiled without the
/// vector instructions.
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
        // Neither linkage depends on the sizes of the others.
        to_x.iter().zip(to_y).map(|(&x, &y)| merged_distance(linkage, x, y, halves, 1.0)).collect()
    }
}
