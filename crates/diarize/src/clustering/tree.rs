//! Dendrograms of embeddings, or of groups if there are too many embeddings.

use diarize_kernels::{
    cdist,
    linkage::{Linkage, Merge},
};
use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

use super::{ClusteringError, ComputeDevice, dendrogram::flat_clusters, labels};
use crate::math::{cluster_means_normalized, normalized};

/// Number of consecutive embeddings grouped at once if there are too many for one dendrogram.
const STRETCH: usize = 2000;
/// Number of stretches that are grouped in parallel. The distances within a stretch take 16 MB or more.
const AT_ONCE: usize = 4;

/// A dendrogram whose leaves are embeddings or groups of them.
pub(super) struct Tree {
    pub(super) merges: Vec<Merge>,
    /// `(leaf,)`: number of embeddings in each leaf.
    pub(super) sizes: Vec<usize>,
    /// `(embedding,)`: index of the leaf; `None` if every embedding is its own leaf.
    leaf_of: Option<Vec<usize>>,
}

impl Tree {
    /// The dendrogram of `embeddings` `(embedding, dimension)`, which must be finite and nonzero: exact for
    /// up to `limit` embeddings, otherwise of about that many groups
    /// ([`super::Agglomerative::max_embeddings`]).
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn of(
        embeddings: ArrayView2<'_, f32>,
        method: Linkage,
        limit: usize,
        device: &ComputeDevice<'_>,
    ) -> Result<Self, ClusteringError> {
        let count = embeddings.nrows();
        if count <= limit {
            let merges = dendrogram(embeddings, method, device)?;
            return Ok(Self { merges, sizes: vec![1; count], leaf_of: None });
        }
        let leaf_of = groups(embeddings, method, limit, device)?; // (embedding,)
        let sizes = labels::sizes(&leaf_of, labels::count(&leaf_of)); // (group,)
        let means = cluster_means_normalized(embeddings, &leaf_of, sizes.len()); // (group, dimension)
        let distances = distances_of_groups(means.view(), &sizes, method); // one for each pair
        let merges = device.linkage(method, distances, &sizes)?;
        Ok(Self { merges, sizes, leaf_of: Some(leaf_of) })
    }

    /// The clusters that remain if every merge higher than `threshold` is undone: one label per embedding.
    /// `heights` holds the height of each merge.
    pub(super) fn cut(&self, heights: &[f64], threshold: f64) -> Vec<usize> {
        let clusters = flat_clusters(&self.merges, heights, threshold);
        match &self.leaf_of {
            None => clusters,
            Some(leaf_of) => leaf_of.iter().map(|&leaf| clusters[leaf]).collect(),
        }
    }

    /// The clusters after all merges up to and including `last`: one label per embedding.
    pub(super) fn cut_after(&self, last: usize) -> Vec<usize> {
        self.cut(&order(self.merges.len()), last as f64)
    }
}

fn dendrogram(
    embeddings: ArrayView2<'_, f32>,
    method: Linkage,
    device: &ComputeDevice<'_>,
) -> Result<Vec<Merge>, ClusteringError> {
    match method {
        Linkage::Centroid => device.centroid_linkage(normalized(embeddings).view()),
        _ => device.linkage(method, distances(embeddings, method), &vec![1; embeddings.nrows()]),
    }
}

/// The indices of the merges, to be used as heights.
fn order(merges: usize) -> Vec<f64> {
    (0..merges).map(|merge| merge as f64).collect()
}

/// Whether a linkage uses the Euclidean distance of normalized embeddings instead of the cosine distance.
fn is_euclidean(method: Linkage) -> bool {
    matches!(method, Linkage::Centroid | Linkage::Median | Linkage::Ward)
}

/// The distances that a linkage uses, from each embedding to those after it.
fn distances(embeddings: ArrayView2<'_, f32>, method: Linkage) -> Vec<Vec<f64>> {
    match is_euclidean(method) {
        true => cdist::euclidean_pairs(normalized(embeddings).view()),
        false => cdist::cosine_pairs(embeddings),
    }
}

/// Merges embeddings into about `limit` groups: each stretch of consecutive embeddings is clustered
/// separately, down to its share of the groups. Returns one label per embedding.
fn groups(
    embeddings: ArrayView2<'_, f32>,
    method: Linkage,
    limit: usize,
    device: &ComputeDevice<'_>,
) -> Result<Vec<usize>, ClusteringError> {
    let count = embeddings.nrows();
    let group = |&(index, stretch): &(usize, ArrayView2<'_, f32>)| {
        let until = |embedding: usize| embedding * limit / count;
        let (start, length) = (index * STRETCH, stretch.nrows());
        let wanted = (until(start + length) - until(start)).max(1);
        let merges = device.linkage(method, distances(stretch, method), &vec![1; length])?;
        Ok(flat_clusters(&merges, &order(merges.len()), (length - wanted) as f64 - 1.0))
    };
    let stretches: Vec<_> = embeddings.axis_chunks_iter(Axis(0), STRETCH).enumerate().collect();
    let mut first = 0;
    let mut all = Vec::with_capacity(count);
    for stretches in stretches.chunks(AT_ONCE) {
        let grouped: Vec<Vec<usize>> =
            stretches.par_iter().map(group).collect::<Result<_, ClusteringError>>()?;
        for groups in grouped {
            all.extend(groups.iter().map(|group| first + group));
            first += labels::count(&groups);
        }
    }
    Ok(all)
}

/// The distances that a linkage uses, from each group of normalized embeddings to those after it. `means` has the
/// mean of each group.
fn distances_of_groups(means: ArrayView2<'_, f32>, sizes: &[usize], method: Linkage) -> Vec<Vec<f64>> {
    let mut distances = cdist::euclidean_pairs(means);
    let squares: Vec<f64> = means
        .rows()
        .into_iter()
        .map(|mean| mean.iter().map(|&x| f64::from(x) * f64::from(x)).sum())
        .collect();
    let change = |a: usize, b: usize, distance: f64| match method {
        Linkage::Centroid | Linkage::Median => distance,
        Linkage::Ward => {
            let (a, b) = (sizes[a] as f64, sizes[b] as f64);
            (2.0 * a * b / (a + b)).sqrt() * distance
        }
        // The mean cosine distance over all pairs is 1 minus the dot product of the means.
        Linkage::Average | Linkage::Weighted | Linkage::Complete | Linkage::Single => {
            (1.0 - 0.5 * (squares[a] + squares[b] - distance * distance)).max(0.0)
        }
    };
    for (a, later) in distances.iter_mut().enumerate() {
        for (distance, b) in later.iter_mut().zip(a + 1..) {
            *distance = change(a, b, *distance);
        }
    }
    distances
}
