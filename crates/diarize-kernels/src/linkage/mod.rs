//! Agglomerative clustering: dendrograms of vectors from their distances.
//!
//! Every vector starts as its own cluster, and the two closest clusters are merged repeatedly. The distance
//! from the merged cluster to a third cluster `z` follows from the distances of its halves `x` and `y`, which
//! hold `n_x` and `n_y` vectors (G. N. Lance, W. T. Williams, "A general theory of classificatory sorting
//! strategies", The Computer Journal 9(4), 1967). [`Linkage`] gives the formulas.
//!
//! Merges match SciPy's: the same order, bit-identical distances, and the same choice among ties. Cluster
//! numbers, and therefore speaker labels, depend on this. The choice among ties is a side effect of the
//! algorithm, so this module uses SciPy's three algorithms (all in D. Müllner, "Modern hierarchical,
//! agglomerative clustering algorithms", arXiv:1109.2378):
//!
//! - Centroid and median linkage allow inversions: a merge can have a smaller distance than the merge before
//!   it, because the centroid of two clusters can lie closer to a third than either did. Every cluster keeps
//!   a lower bound of the distance to its nearest later neighbor. A binary heap yields the smallest bound,
//!   and a bound that proves too small is recomputed.
//! - Average, complete, weighted and Ward's linkage follow a chain from each cluster to its nearest neighbor.
//!   The chain ends at two clusters that are each other's nearest neighbors, and these are merged.
//! - Single linkage is the minimum spanning tree.
//!
//! On a GPU, [`device`] runs the first algorithm for centroid linkage, without the heap.
//!
//! A merged cluster takes the place of the later of its halves. Time and memory grow with the square of the
//! number of vectors.
//!
//! Source: `fast_linkage`, `nn_chain` and `mst_single_linkage` in `scipy/cluster/_hierarchy.pyx`.

mod chain;
mod cpu;
pub mod device;
mod distances;
mod heap;
mod pairs;
pub mod reference;
mod tree;
mod unsorted;

use self::{distances::Distances, pairs::Pairs};

/// The linkage criterion, given by the distance `d` from the cluster merged from `x` and `y` to a third, `z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Linkage {
    /// Distance of the centroids:
    /// `d² = (n_x d(z,x)² + n_y d(z,y)² - n_x n_y d(x,y)² / (n_x + n_y)) / (n_x + n_y)`. Requires Euclidean
    /// distances.
    Centroid,
    /// Like centroid linkage with equal weights for both halves:
    /// `d² = (d(z,x)² + d(z,y)²) / 2 - d(x,y)² / 4`. Requires Euclidean distances.
    Median,
    /// Mean of the distances of all pairs (UPGMA): `d = (n_x d(z,x) + n_y d(z,y)) / (n_x + n_y)`.
    Average,
    /// Like average linkage with equal weights for both halves (WPGMA): `d = (d(z,x) + d(z,y)) / 2`.
    Weighted,
    /// Largest distance of a pair: `d = max(d(z,x), d(z,y))`.
    Complete,
    /// Smallest distance of a pair: `d = min(d(z,x), d(z,y))`.
    Single,
    /// Increase of the sum of squared distances to the centroids:
    /// `d² = ((n_z + n_x) d(z,x)² + (n_z + n_y) d(z,y)² - n_z d(x,y)²) / (n_x + n_y + n_z)`. Requires
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

/// The merge of two clusters: a row of SciPy's linkage matrix.
///
/// For `n` vectors, clusters 0 to `n - 1` are the single vectors, and merge `k` creates cluster `n + k`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// The cluster with the smaller number.
    pub left: usize,
    /// The cluster with the larger number.
    pub right: usize,
    /// Their distance.
    pub distance: f64,
    /// Number of vectors in the new cluster.
    pub size: usize,
}

/// The dendrogram of `n` vectors from the distances of each to those after it
/// ([`crate::cdist::euclidean_pairs`]). Returns `n - 1` merges. `distances` is reused as working memory.
///
/// # Panics
/// If the number of distances of a vector is wrong, or a distance is not a number from 0 to 1e100.
pub fn linkage(linkage: Linkage, distances: Vec<Vec<f64>>) -> Vec<Merge> {
    let sizes = vec![1; distances.len()];
    linkage_of_groups(linkage, distances, &sizes)
}

/// Like [`linkage`], but starts from groups of vectors with the given sizes: the remainder of a dendrogram whose
/// first merges formed the groups.
///
/// # Panics
/// As [`linkage`].
pub fn linkage_of_groups(linkage: Linkage, distances: Vec<Vec<f64>>, sizes: &[usize]) -> Vec<Merge> {
    linkage_while(linkage, distances, sizes, &|| true).expect("it may always continue")
}

/// Like [`linkage_of_groups`], but can be stopped: `may_continue` is called before each merge, and `None` is
/// returned as soon as it returns `false`.
///
/// # Panics
/// As [`linkage`].
pub fn linkage_while(
    linkage: Linkage,
    distances: Vec<Vec<f64>>,
    sizes: &[usize],
    may_continue: &dyn Fn() -> bool,
) -> Option<Vec<Merge>> {
    check(&distances, sizes.len());
    if sizes.len() < 2 {
        return Some(Vec::new());
    }
    match linkage {
        Linkage::Centroid | Linkage::Median => {
            cpu::linkage(linkage, Distances::new(distances), sizes, may_continue)
        }
        Linkage::Average | Linkage::Weighted | Linkage::Complete | Linkage::Ward => {
            chain::linkage(linkage, Pairs::new(distances), sizes, may_continue)
        }
        Linkage::Single => tree::linkage(&Pairs::new(distances), sizes, may_continue),
    }
}

/// [`linkage`] with [`Linkage::Centroid`].
///
/// # Panics
/// As [`linkage`].
pub fn centroid(distances: Vec<Vec<f64>>) -> Vec<Merge> {
    linkage(Linkage::Centroid, distances)
}

/// Checks number and range of the distances. Larger distances could overflow when squared.
fn check(distances: &[Vec<f64>], count: usize) {
    assert!(
        distances.iter().map(Vec::len).eq((0..count).rev()),
        "each of {count} vectors needs its distances to those after it"
    );
    assert!(
        distances.iter().flatten().all(|distance| (0.0..=1e100).contains(distance)),
        "a distance is not a number from 0 to 1e100"
    );
}

/// Whether enough of `all` places are unused that dropping them saves time. Most time is spent waiting for
/// memory.
fn worth_compacting(used: usize, all: usize) -> bool {
    all > 64 && 4 * used < 3 * all
}

/// A renumbering that keeps the places in use, in order.
struct Compaction {
    /// The old place of each new place.
    old: Vec<usize>,
    /// The new place of each old place, `usize::MAX` if it is dropped.
    new: Vec<usize>,
}

impl Compaction {
    /// Keeps the places `in_use` out of `count`.
    fn new(in_use: &[usize], count: usize) -> Self {
        let mut new = vec![usize::MAX; count];
        for (index, &place) in in_use.iter().enumerate() {
            new[place] = index;
        }
        Self { old: in_use.to_vec(), new }
    }

    /// Moves the values of the places in use out of `values`.
    fn take_used<T: Default>(&self, values: &mut [T]) -> Vec<T> {
        self.old.iter().map(|&place| std::mem::take(&mut values[place])).collect()
    }
}

/// The two halves of a merge: their distance and sizes.
#[derive(Clone, Copy)]
struct Halves {
    distance: f64,
    size_x: f64,
    size_y: f64,
}

/// Distance from the cluster merged from `x` and `y` to a third cluster with `size_z` vectors, in SciPy's order of
/// operations. If the two coincide, rounding can make a square negative; the distance is then 0, not NaN.
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

/// A merge of clusters `a` and `b`, given in any order.
fn merge(a: usize, b: usize, distance: f64, size: usize) -> Merge {
    Merge { left: a.min(b), right: a.max(b), distance, size }
}
