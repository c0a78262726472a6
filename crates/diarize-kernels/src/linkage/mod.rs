//! Agglomerative clustering with centroid linkage.
//!
//! Starts with every vector on its own and merges, again and again, the two clusters whose
//! centroids are closest. The distances from a merged cluster follow from those of its halves
//! `x` and `y`, of `n_x` and `n_y` vectors (Lance and Williams, 1967):
//!
//! `d(z, xy)² = (n_x d(z,x)² + n_y d(z,y)² - n_x n_y d(x,y)² / (n_x + n_y)) / (n_x + n_y)`
//!
//! A merge may be at a smaller distance than the one before (an inversion): the centroid of two
//! clusters can lie closer to a third than either did.
//!
//! Merges come in SciPy's order, to the last bit of their distances and with its choice among equal
//! ones; the numbers of clusters, and with them the names of speakers, hang on it. That choice comes
//! out of the algorithm: every cluster keeps a lower bound of the distance to its nearest neighbour
//! among those after it, a binary heap gives the smallest bound, and a bound that proves too small
//! is computed anew. A merged cluster takes the place of the later of its halves.
//!
//! Source: `fast_linkage` in `scipy/cluster/_hierarchy.pyx`, which is the generic algorithm of
//! D. Müllner, "Modern hierarchical, agglomerative clustering algorithms", arXiv:1109.2378.

mod cpu;
mod heap;
pub mod reference;

/// Two clusters become one: a row of SciPy's linkage matrix.
///
/// Of `n` vectors, clusters 0 to `n - 1` are the single vectors; merge `k` makes cluster `n + k`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// The cluster with the smaller number.
    pub left: usize,
    /// The cluster with the larger number.
    pub right: usize,
    /// Distance of their centroids.
    pub distance: f64,
    /// Vectors in the new cluster.
    pub size: usize,
}

/// Centroid linkage of `count` vectors, from their Euclidean distances in the order of
/// [`crate::cdist::euclidean_condensed`], which become the working memory: `count - 1` merges.
///
/// # Panics
/// If there are not `count (count - 1) / 2` distances, or one is not a number from 0 to 1e100.
pub fn centroid(distances: Vec<f64>, count: usize) -> Vec<Merge> {
    check(&distances, count);
    cpu::centroid(distances, count)
}

/// Distances beyond the limit would square to infinity, which marks places that are not in use.
fn check(distances: &[f64], count: usize) {
    assert_eq!(distances.len(), count * count.saturating_sub(1) / 2, "distances of {count} vectors");
    assert!(
        distances.iter().all(|distance| (0.0..=1e100).contains(distance)),
        "a distance is not within 0 to 1e100"
    );
}

/// Distance of the centroid of `x` and `y` from that of a third cluster `z`, in SciPy's order of
/// operations. Where the two coincide, rounding can make the square negative: that is 0, not NaN.
#[inline(always)]
fn merged_distance(zx: f64, zy: f64, xy: f64, size_x: f64, size_y: f64) -> f64 {
    let size = size_x + size_y;
    let square = ((size_x * zx * zx + size_y * zy * zy) - (size_x * size_y * xy * xy) / size) / size;
    square.max(0.0).sqrt()
}

/// The two clusters of a merge in the order in which it names them.
fn merge(a: usize, b: usize, distance: f64, size: usize) -> Merge {
    Merge { left: a.min(b), right: a.max(b), distance, size }
}
