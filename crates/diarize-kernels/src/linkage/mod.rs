//! Agglomerative clustering: dendrograms of vectors from their distances.
//!
//! Starts with every vector on its own and merges, again and again, the two clusters that are
//! closest. The distance of a third cluster `z` from the merged one follows from those of its halves
//! `x` and `y` of `n_x` and `n_y` vectors (G. N. Lance, W. T. Williams, "A general theory of
//! classificatory sorting strategies", The Computer Journal 9(4), 1967); [`Linkage`] has the formulas.
//!
//! Merges come in SciPy's order, to the last bit of their distances and with its choice among equal
//! ones; the numbers of clusters, and with them the names of speakers, hang on it. That choice comes
//! out of the algorithm, so there are the same three (all in D. Müllner, "Modern hierarchical,
//! agglomerative clustering algorithms", arXiv:1109.2378):
//!
//! - Centroid and median linkage, where a merge may be at a smaller distance than the one before (an
//!   inversion: the centroid of two clusters can lie closer to a third than either did): every cluster
//!   keeps a lower bound of the distance to its nearest neighbour among those after it, a binary heap
//!   gives the smallest bound, and a bound that proves too small is computed anew.
//! - Average, complete, weighted and Ward's linkage: a chain from each cluster to its nearest
//!   neighbour ends at two that are nearest to each other; these may be merged at once.
//! - Single linkage: the minimum spanning tree.
//!
//! A GPU makes centroid linkage by the first of these, without the heap ([`device`]).
//!
//! A merged cluster takes the place of the later of its halves. All need time and memory that grow
//! with the square of the number of vectors.
//!
//! Source: `fast_linkage`, `nn_chain` and `mst_single_linkage` in `scipy/cluster/_hierarchy.pyx`.

mod chain;
mod condensed;
mod cpu;
pub mod device;
mod distances;
mod heap;
pub mod reference;
mod tree;
mod unsorted;

use self::{condensed::Condensed, distances::Distances};

/// How far apart two clusters are, by the distance of the merged cluster `xy` from `z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Linkage {
    /// Distance of the centroids:
    /// `d² = (n_x d(z,x)² + n_y d(z,y)² - n_x n_y d(x,y)² / (n_x + n_y)) / (n_x + n_y)`. Takes Euclidean
    /// distances.
    Centroid,
    /// As centroid linkage, but both halves weigh the same: `d² = (d(z,x)² + d(z,y)²) / 2 - d(x,y)² / 4`.
    /// Takes Euclidean distances.
    Median,
    /// Mean of the distances of all pairs (UPGMA): `d = (n_x d(z,x) + n_y d(z,y)) / (n_x + n_y)`.
    Average,
    /// As average linkage, but both halves weigh the same (WPGMA): `d = (d(z,x) + d(z,y)) / 2`.
    Weighted,
    /// Largest distance of a pair: `d = max(d(z,x), d(z,y))`.
    Complete,
    /// Smallest distance of a pair: `d = min(d(z,x), d(z,y))`.
    Single,
    /// By how much the merge raises the sum of squared distances from the centroids:
    /// `d² = ((n_z + n_x) d(z,x)² + (n_z + n_y) d(z,y)² - n_z d(x,y)²) / (n_x + n_y + n_z)`. Takes
    /// Euclidean distances.
    Ward,
}

impl Linkage {
    /// Every linkage.
    pub const ALL: [Self; 7] = [
        Self::Centroid,
        Self::Median,
        Self::Average,
        Self::Weighted,
        Self::Complete,
        Self::Single,
        Self::Ward,
    ];
}

/// Two clusters become one: a row of SciPy's linkage matrix.
///
/// Of `n` vectors, clusters 0 to `n - 1` are the single vectors; merge `k` makes cluster `n + k`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// The cluster with the smaller number.
    pub left: usize,
    /// The cluster with the larger number.
    pub right: usize,
    /// Their distance.
    pub distance: f64,
    /// Vectors in the new cluster.
    pub size: usize,
}

/// The dendrogram of `count` vectors, from their distances in the order of
/// [`crate::cdist::euclidean_condensed`], which become the working memory: `count - 1` merges.
///
/// # Panics
/// If there are not `count (count - 1) / 2` distances, or one is not a number from 0 to 1e100.
pub fn linkage(linkage: Linkage, distances: Vec<f64>, count: usize) -> Vec<Merge> {
    linkage_of_groups(linkage, distances, &vec![1; count])
}

/// [`linkage`] of groups of vectors, of the given sizes, in place of single ones: the rest of a
/// dendrogram whose first merges made the groups.
///
/// # Panics
/// As [`linkage`].
pub fn linkage_of_groups(linkage: Linkage, distances: Vec<f64>, sizes: &[usize]) -> Vec<Merge> {
    let count = sizes.len();
    check(&distances, count);
    if count < 2 {
        return Vec::new();
    }
    match linkage {
        Linkage::Centroid | Linkage::Median => cpu::linkage(linkage, Distances::new(distances, count), sizes),
        Linkage::Average | Linkage::Weighted | Linkage::Complete | Linkage::Ward => {
            chain::linkage(linkage, Condensed::new(distances, count), sizes)
        }
        Linkage::Single => tree::linkage(&Condensed::new(distances, count), sizes),
    }
}

/// [`linkage`] with [`Linkage::Centroid`].
///
/// # Panics
/// As [`linkage`].
pub fn centroid(distances: Vec<f64>, count: usize) -> Vec<Merge> {
    linkage(Linkage::Centroid, distances, count)
}

/// Distances beyond the limit would square to infinity, beyond that of every other place.
fn check(distances: &[f64], count: usize) {
    assert_eq!(distances.len(), count * count.saturating_sub(1) / 2, "distances of {count} vectors");
    assert!(
        distances.iter().all(|distance| (0.0..=1e100).contains(distance)),
        "a distance is not within 0 to 1e100"
    );
}

/// Whether so few places are in use that it pays to leave the others out: most of the time is spent waiting
/// for memory.
fn few(used: usize, all: usize) -> bool {
    all > 64 && 4 * used < 3 * all
}

/// Places that moved together in order, since few are in use.
struct Moved {
    /// What was the place of each.
    old: Vec<usize>,
    /// What is the place of each.
    new: Vec<usize>,
}

impl Moved {
    /// Of `count` places those in use.
    fn new(in_use: &[usize], count: usize) -> Self {
        let mut new = vec![usize::MAX; count];
        for (index, &place) in in_use.iter().enumerate() {
            new[place] = index;
        }
        Self { old: in_use.to_vec(), new }
    }

    /// The values of the places in use, which are taken.
    fn in_use<T: Default>(&self, values: &mut [T]) -> Vec<T> {
        self.old.iter().map(|&place| std::mem::take(&mut values[place])).collect()
    }
}

/// The two halves of a merge: their distance and numbers of vectors.
#[derive(Clone, Copy)]
struct Halves {
    distance: f64,
    size_x: f64,
    size_y: f64,
}

/// Distance of the cluster merged of `x` and `y` from a third one of `size_z` vectors, in SciPy's order
/// of operations. Where the two coincide, rounding can make a square negative: that is 0, not NaN.
#[inline(always)]
fn merged_distance(linkage: Linkage, zx: f64, zy: f64, halves: Halves, size_z: f64) -> f64 {
    let Halves { distance: xy, size_x, size_y } = halves;
    let size = size_x + size_y;
    let root = |square: f64| square.max(0.0).sqrt();
    match linkage {
        Linkage::Centroid => {
            root(((size_x * zx * zx + size_y * zy * zy) - (size_x * size_y * xy * xy) / size) / size)
        }
        Linkage::Median => root(0.5 * (zx * zx + zy * zy) - 0.25 * xy * xy),
        Linkage::Average => (size_x * zx + size_y * zy) / size,
        Linkage::Weighted => 0.5 * (zx + zy),
        Linkage::Complete => zx.max(zy),
        Linkage::Single => zx.min(zy),
        Linkage::Ward => {
            let share = 1.0 / (size + size_z);
            let from_halves = (size_z + size_x) * share * zx * zx + (size_z + size_y) * share * zy * zy;
            root(from_halves - size_z * share * xy * xy)
        }
    }
}

/// The two clusters of a merge in the order in which it names them.
fn merge(a: usize, b: usize, distance: f64, size: usize) -> Merge {
    Merge { left: a.min(b), right: a.max(b), distance, size }
}
