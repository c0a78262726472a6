//! Agglomerative clustering: from embeddings to clusters of at least a minimum size.

use diarize_kernels::{cdist, linkage::Linkage};
use ndarray::{ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::{ClusteringError, ComputeDevice, Mismatch, labels, tree::Tree};
use crate::{
    math::{argmax, cluster_means, normalized},
    options::SpeakerBounds,
};

/// How many embeddings make an exact dendrogram.
pub(super) const MAX_EMBEDDINGS: usize = 20_000;

/// Parameters of agglomerative clustering. The defaults are those of speaker-diarization-3.1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agglomerative {
    /// How far apart two clusters are. Centroid, median and Ward's linkage work on the Euclidean
    /// distance of normalized embeddings, the others on the cosine distance.
    #[serde(with = "LinkageName")]
    pub linkage: Linkage,
    /// Clusters closer than this are merged.
    pub threshold: f64,
    /// Smaller clusters are given to the nearest larger one.
    pub min_cluster_size: usize,
    /// Of more embeddings than this, groups are merged, about as many, so that memory and time stay
    /// bounded: 8 bytes for every pair of groups. (20,000 are about three hours of three speakers.)
    ///
    /// Stretches of 2,000 consecutive embeddings are first clustered by themselves, with the same linkage
    /// but no threshold, each down to its share of the groups. From there centroid, average and Ward's
    /// linkage go on exactly as if these merges had been the first of all; for the others the distance of
    /// two groups is that of their means (median) or the mean over all pairs.
    pub max_embeddings: usize,
}

/// The linkages as they are called in manifests.
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

/// Clusters `(embedding, dimension)`: a cluster for each embedding, from 0 without gaps.
///
/// Embeddings are merged by `parameters.linkage`, and the dendrogram is cut at `parameters.threshold`.
/// If then the number of large clusters (those of `min_cluster_size`, fewer where there are few
/// embeddings) is not within `bounds`, the cut that comes nearest to the bound is taken instead.
/// Finally every small cluster goes to the large one whose centroid has the smallest cosine distance.
///
/// Embeddings must be finite and not zero. Where merges are equally far from the threshold, the
/// earlier is tried first; NumPy's unstable sort leaves that to the processor.
///
/// Source: `AgglomerativeClustering.cluster` in `pyannote/audio/pipelines/clustering.py`.
///
/// # Errors
/// A failure of the device.
pub fn agglomerate(
    embeddings: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    parameters: &Agglomerative,
    place: &ComputeDevice<'_>,
) -> Result<(Vec<usize>, Option<Mismatch>), ClusteringError> {
    let count = embeddings.nrows();
    let min_size = min_large_size(count, parameters.min_cluster_size);

    let tree = Tree::of(embeddings, parameters.linkage, parameters.max_embeddings, place)?;
    let heights: Vec<f64> = tree.merges.iter().map(|merge| merge.distance).collect();
    let labels = tree.cut(&heights, parameters.threshold); // (embedding,)
    let large =
        labels::sizes(&labels, labels::count(&labels)).into_iter().filter(|&size| size >= min_size).count();

    let wanted = large.max(bounds.min).min(bounds.max.unwrap_or(usize::MAX));
    let (labels, found) = if large == wanted {
        (labels, large)
    } else {
        let (cut, found) = nearest_cut(&tree, parameters.threshold, min_size, wanted);
        (tree.cut_after(cut), found)
    };
    let mismatch = (found != wanted).then_some(Mismatch { wanted, found });
    let labels = match parameters.linkage {
        Linkage::Centroid | Linkage::Median | Linkage::Ward => {
            give_small_to_large(normalized(embeddings).view(), labels, min_size)
        }
        _ => give_small_to_large(embeddings, labels, min_size),
    };
    Ok((labels, mismatch))
}

/// The size from which a cluster of `count` embeddings is large: a tenth of them, at most `limit`.
fn min_large_size(count: usize, limit: usize) -> usize {
    let tenth = (0.1 * count as f64).round_ties_even() as usize;
    limit.min(tenth.max(1))
}

/// The merge after which to stop so that the number of large clusters is nearest to `wanted`, and
/// that number. Merges near the threshold are tried first; the last resort is one cluster of all.
fn nearest_cut(tree: &Tree, threshold: f64, min_size: usize, wanted: usize) -> (usize, usize) {
    let merges = &tree.merges;
    let large_after = large_clusters_after_each(tree, min_size);
    let from_threshold = |&index: &usize| (merges[index].distance - threshold).abs();
    let mut order: Vec<usize> = (0..merges.len()).collect();
    order.sort_by(|a, b| from_threshold(a).total_cmp(&from_threshold(b)));

    let mut best = (merges.len(), 1_usize);
    for index in order {
        // Joining small clusters into another small one changes nothing.
        if merges[index].size < min_size {
            continue;
        }
        let large = large_after[index];
        if large == wanted {
            return (index, large);
        }
        if large.abs_diff(wanted) < best.1.abs_diff(wanted) {
            best = (index, large);
        }
    }
    best
}

/// The number of clusters of at least `min_size` embeddings once the first merges were made, up to and
/// with each.
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

/// Moves small clusters to their nearest large one and numbers what is left without gaps, in order.
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
    fn a_tenth_is_rounded_half_to_even() {
        let sizes = [(1, 1), (14, 1), (15, 2), (25, 2), (26, 3), (35, 4), (115, 12), (5000, 12)];
        for (count, size) in sizes {
            assert_eq!(min_large_size(count, 12), size, "of {count}");
        }
    }
}
