//! Dendrograms from merges that were not found in the order of their distances.

use super::{Merge, merge};

/// The dendrogram of vectors, or of groups with the given sizes. A merge `(vector, vector, distance)` joins the
/// two clusters that contain the vectors. Merges of equal distance keep their order.
pub(super) fn dendrogram(mut merges: Vec<(usize, usize, f64)>, sizes: &[usize]) -> Vec<Merge> {
    let count = sizes.len();
    merges.sort_by(|a, b| a.2.total_cmp(&b.2));
    let mut clusters = Clusters { parents: (0..2 * count - 1).collect(), sizes: sizes.to_vec() };
    clusters.sizes.resize(2 * count - 1, 0);
    let mut dendrogram = Vec::with_capacity(merges.len());
    for (step, (x, y, distance)) in merges.into_iter().enumerate() {
        let (x, y) = (clusters.of(x), clusters.of(y));
        let merged = count + step;
        clusters.parents[x] = merged;
        clusters.parents[y] = merged;
        clusters.sizes[merged] = clusters.sizes[x] + clusters.sizes[y];
        dendrogram.push(merge(x, y, distance, clusters.sizes[merged]));
    }
    dendrogram
}

/// A union-find forest. Its roots are the current clusters.
struct Clusters {
    parents: Vec<usize>,
    sizes: Vec<usize>,
}

impl Clusters {
    /// The current cluster that contains `cluster`. Halves paths on the way to keep them short.
    fn of(&mut self, mut cluster: usize) -> usize {
        while self.parents[cluster] != cluster {
            self.parents[cluster] = self.parents[self.parents[cluster]];
            cluster = self.parents[cluster];
        }
        cluster
    }
}
