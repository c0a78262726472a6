//! Merges that were found in another order than that of their distances.

use super::{Merge, merge};

/// The dendrogram of vectors, or groups of the given sizes, from merges `(vector, vector, distance)`, each
/// of the two clusters that hold the vectors. Those of equal distance stay in their order.
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

/// Which clusters went into which: a forest with the present clusters as its roots.
struct Clusters {
    parents: Vec<usize>,
    sizes: Vec<usize>,
}

impl Clusters {
    /// The present cluster that holds `cluster`. Paths are halved on the way, so they stay short.
    fn of(&mut self, mut cluster: usize) -> usize {
        while self.parents[cluster] != cluster {
            self.parents[cluster] = self.parents[self.parents[cluster]];
            cluster = self.parents[cluster];
        }
        cluster
    }
}
