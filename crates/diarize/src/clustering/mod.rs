//! From the embeddings of local speakers to speakers of the whole recording.
//!
//! The embeddings of local speakers who speak are clustered ([`agglomerate`]). Then every local
//! speaker goes to the cluster with the nearest centroid, those that were clustered too, which may
//! move them: pyannote found that better than keeping them.
//!
//! Source: `pyannote/audio/pipelines/clustering.py`, version 3.3.2, with the settings of
//! speaker-diarization-3.1: centroid linkage, assignment without constraints.

mod agglomerative;
mod dendrogram;
mod sums;

use diarize_kernels::cdist;
use ndarray::{Array2, Array3, ArrayView3, Axis};

use self::sums::{cluster_means, norm};
pub use self::{
    agglomerative::{Mismatch, agglomerate, normalised},
    dendrogram::flat_clusters,
};
use crate::options::{Clustering, SpeakerBounds};

/// Which local speakers are the same person.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// `(chunk, local speaker)`: the cluster, from 0, also of local speakers who never speak.
    pub hard: Array2<i32>,
    /// `(chunk, local speaker, cluster)`: 2 minus the cosine distance of embedding and centroid.
    pub soft: Array3<f64>,
    /// `(cluster, dimension)`: mean of the embeddings, not normalised, that were clustered together.
    pub centroids: Array2<f32>,
    /// Set where the bounds could not be kept.
    pub mismatch: Option<Mismatch>,
}

/// Clusters `embeddings` `(chunk, local speaker, dimension)` of the local speakers who speak in
/// `segmentations` `(chunk, frame, local speaker)`.
///
/// A bound of one speaker, or fewer than two embeddings to cluster, makes one cluster of all.
/// Embeddings that are not finite or zero are not clustered. (pyannote leaves out those with NaN and
/// fails on the others.)
///
/// Source: `BaseClustering.__call__`.
///
/// # Panics
/// If the two arrays differ in chunks or local speakers.
pub fn cluster(
    embeddings: ArrayView3<'_, f32>,
    segmentations: ArrayView3<'_, u8>,
    bounds: SpeakerBounds,
    parameters: &Clustering,
) -> Clusters {
    let (chunks, speakers, dimension) = embeddings.dim();
    assert_eq!(
        (chunks, speakers),
        (segmentations.dim().0, segmentations.dim().2),
        "chunks and local speakers"
    );

    let embeddings =
        embeddings.to_shape((chunks * speakers, dimension)).expect("the number of values is the same");
    let speaks = segmentations.map_axis(Axis(1), |frames| frames.iter().any(|&active| active != 0)); // (chunk, local speaker)
    let is_usable = |row: usize| {
        let norm = norm(embeddings.row(row));
        norm > 0.0 && norm.is_finite()
    };
    let train: Vec<usize> = speaks
        .iter()
        .enumerate()
        .filter(|&(row, &speaks)| speaks && is_usable(row))
        .map(|(row, _)| row)
        .collect();
    let train = embeddings.select(Axis(0), &train); // (embedding, dimension)

    // No more clusters than embeddings, and at least one.
    let most = train.nrows().max(1);
    let bounds = SpeakerBounds {
        min: bounds.min.clamp(1, most),
        max: Some(bounds.max.unwrap_or(most).clamp(1, most)),
    };
    if bounds.max == Some(1) {
        return Clusters {
            hard: Array2::zeros((chunks, speakers)),
            soft: Array3::ones((chunks, speakers, 1)),
            centroids: cluster_means(train.view(), &vec![0; train.nrows()], 1),
            mismatch: None,
        };
    }

    let (labels, mismatch) = agglomerate(train.view(), bounds, parameters); // (embedding,)
    let clusters = labels.iter().max().map_or(0, |last| last + 1);
    let centroids = cluster_means(train.view(), &labels, clusters); // (cluster, dimension)
    let soft = 2.0 - cdist::cosine(embeddings.view(), centroids.view()); // (chunk * local speaker, cluster)
    let hard = soft.map_axis(Axis(1), |similarities| argmax(similarities.iter().copied()) as i32);
    Clusters {
        hard: hard.into_shape_with_order((chunks, speakers)).expect("the number of values is the same"),
        soft: soft
            .into_shape_with_order((chunks, speakers, clusters))
            .expect("the number of values is the same"),
        centroids,
        mismatch,
    }
}

/// Position of the first NaN, else of the first maximum, as `np.argmax`; 0 if there is no value.
fn argmax(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, value) in values.enumerate() {
        if value.is_nan() {
            return index;
        }
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}
