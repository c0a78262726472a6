//! Agglomerative clustering with a minimum cluster size.

use diarize_kernels::{cdist, linkage::Linkage};
use ndarray::{ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::{ClusteringError, ComputeDevice, labels, tree::Tree};
use crate::{
    math::{argmax, cluster_means, normalized},
    options::SpeakerBounds,
};

/// Default maximum number of embeddings for an exact dendrogram.
pub(super) const MAX_EMBEDDINGS: usize = 20_000;

/// Parameters of agglomerative clustering. The defaults are those of speaker-diarization-3.1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agglomerative {
    /// How the distance between clusters is defined. Centroid, median and Ward linkage use the Euclidean
    /// distance of normalized embeddings, the others the cosine distance.
    #[serde(with = "LinkageName")]
    pub linkage: Linkage,
    /// Distance below which clusters are merged.
    pub threshold: f64,
    /// Minimum size of a cluster; smaller ones are merged into the nearest larger one.
    pub min_cluster_size: usize,
    /// Maximum number of embeddings for an exact dendrogram. Above this count, embeddings are pre-merged
    /// into about this many groups, which bounds memory (8 bytes per pair of groups) and time. (20,000
    /// embeddings are about three hours with three speakers.)
    ///
    /// For pre-merging, each stretch of 2,000 consecutive embeddings is clustered separately with the same
    /// linkage, but down to its share of the groups instead of a threshold. Centroid, average and Ward
    /// linkage then continue exactly as if these merges had been the first ones. For the others, the
    /// distance between two groups is that of their means (median) or the mean over all pairs.
    pub max_embeddings: usize,
}

/// Names of the linkages in manifests.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Linkage", rename_all = "snake_case")]
enum LinkageName {
    Centroid,
    Median,
    Average,
    Weighted,
    Complete,
    Single,
    Ward,
}

impl Default for Agglomerative {
    fn default() -> Self {
        Self {
            linkage: Linkage::Centroid,
            threshold: 0.7045654963945799,
            min_cluster_size: 12,
            max_embeddings: MAX_EMBEDDINGS,
        }
    }
}

/// Clusters `embeddings` `(embedding, dimension)`. Returns one label per embedding; labels are consecutive
/// from 0.
///
/// Embeddings are merged by `parameters.linkage`, and the dendrogram is cut at `parameters.threshold`.
/// Clusters of at least `min_cluster_size` embeddings (fewer for few embeddings) are called large. If their
/// number is not within `bounds`, the dendrogram is cut instead where it comes nearest to the bound.
/// Finally, each small cluster is merged into the large one whose centroid has the smallest cosine
/// distance.
///
/// Embeddings must be finite and nonzero. If several merges are equally far from the threshold, the
/// earliest is tried first; pyannote leaves the order to NumPy's unstable sort, whose result depends on the
/// CPU.
///
/// Source: `AgglomerativeClustering.cluster` in `pyannote/audio/pipelines/clustering.py`.
///
/// # Errors
/// If the device fails.
pub fn agglomerate(
    embeddings: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    parameters: &Agglomerative,
    device: &ComputeDevice<'_>,
) -> Result<Vec<usize>, ClusteringError> {
    let count = embeddings.nrows();
    let min_size = min_large_size(count, parameters.min_cluster_size);

    let tree = Tree::of(embeddings, parameters.linkage, parameters.max_embeddings, device)?;
    let heights: Vec<f64> = tree.merges.iter().map(|merge| merge.distance).collect();
    let labels = tree.cut(&heights, parameters.threshold); // (embedding,)
    let large =
        labels::sizes(&labels, labels::count(&labels)).into_iter().filter(|&size| size >= min_size).count();

    let wanted = large.max(bounds.min).min(bounds.max.unwrap_or(usize::MAX));
    let labels = match large == wanted {
        true => labels,
        false => tree.cut_after(nearest_cut(&tree, parameters.threshold, min_size, wanted)),
    };
    Ok(match parameters.linkage {
        Linkage::Centroid | Linkage::Median | Linkage::Ward => {
            give_small_to_large(normalized(embeddings).view(), labels, min_size)
        }
        _ => give_small_to_large(embeddings, labels, min_size),
    })
}

/// Minimum size of a large cluster: a tenth of the `count` embeddings, but at most `limit`.
fn min_large_size(count: usize, limit: usize) -> usize {
    let tenth = (0.1 * count as f64).round_ties_even() as usize;
    limit.min(tenth.max(1))
}

/// The last merge to apply so that the number of large clusters is nearest to `wanted`. Merges near the
/// threshold are tried first; the fallback is a single cluster.
fn nearest_cut(tree: &Tree, threshold: f64, min_size: usize, wanted: usize) -> usize {
    let merges = &tree.merges;
    let large_after = large_clusters_after_each(tree, min_size);
    let from_threshold = |&index: &usize| (merges[index].distance - threshold).abs();
    let mut order: Vec<usize> = (0..merges.len()).collect();
    order.sort_by(|a, b| from_threshold(a).total_cmp(&from_threshold(b)));

    let mut best = (merges.len(), 1_usize);
    for index in order {
        // Merging small clusters into another small one does not change the number of large ones.
        if merges[index].size < min_size {
            continue;
        }
        let large = large_after[index];
        if large == wanted {
            return index;
        }
        if large.abs_diff(wanted) < best.1.abs_diff(wanted) {
            best = (index, large);
        }
    }
    best.0
}

/// For each merge, the number of clusters of at least `min_size` embeddings after that merge.
fn large_clusters_after_each(Tree { merges, sizes, .. }: &Tree, min_size: usize) -> Vec<usize> {
    let leaves = sizes.len();
    let is_large = |cluster: usize| {
        let size = cluster.checked_sub(leaves).map_or_else(|| sizes[cluster], |merge| merges[merge].size);
        usize::from(size >= min_size)
    };
    let mut large: usize = (0..leaves).map(is_large).sum();
    let mut after = Vec::with_capacity(merges.len());
    for (index, merge) in merges.iter().enumerate() {
        large = large + is_large(leaves + index) - is_large(merge.left) - is_large(merge.right);
        after.push(large);
    }
    after
}

/// Merges small clusters into their nearest large one and relabels the rest consecutively, in order.
fn give_small_to_large(
    embeddings: ArrayView2<'_, f32>,
    mut labels: Vec<usize>,
    min_size: usize,
) -> Vec<usize> {
    let sizes = labels::sizes(&labels, labels::count(&labels));
    let (large, small): (Vec<usize>, Vec<usize>) =
        (0..sizes.len()).partition(|&label| sizes[label] >= min_size);
    if large.is_empty() {
        return vec![0; labels.len()];
    }
    let centroids = cluster_means(embeddings, &labels, sizes.len()); // (cluster, dimension)
    let large_centroids = centroids.select(Axis(0), &large);
    let small_centroids = centroids.select(Axis(0), &small);
    let distances = cdist::cosine(small_centroids.view(), large_centroids.view()); // (small, large)

    let mut renumbered = vec![0; sizes.len()];
    for (index, &label) in large.iter().enumerate() {
        renumbered[label] = index;
    }
    for (&label, distances) in small.iter().zip(distances.rows()) {
        renumbered[label] = argmax(distances.iter().map(|distance| -distance));
    }
    for label in &mut labels {
        *label = renumbered[*label];
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::min_large_size;

    #[test]
    fn minimum_size_is_a_tenth_rounded_half_to_even() {
        let sizes = [(1, 1), (14, 1), (15, 2), (25, 2), (26, 3), (35, 4), (115, 12), (5000, 12)];
        for (count, size) in sizes {
            assert_eq!(min_large_size(count, 12), size, "of {count}");
        }
    }
}
