//! Clustering embeddings into speakers with VBx, as in speaker-diarization-community-1.

use diarize_kernels::linkage::Linkage;
use ndarray::{Array2, ArrayView2, Axis};

use super::{
    ClusteringError, ComputeDevice,
    kmeans::{KMeans, kmeans},
    labels,
    merge::merge_near,
    plda::{Features, Plda},
    tree::Tree,
    vbx::{Vbx, VbxPosteriors, add_products, vbx},
};
use crate::{
    compat::Compat,
    math::{argmax, cluster_means, normalized},
    options::SpeakerBounds,
};

/// Embeddings converted to f64 at once. Bounds the memory.
const BLOCK: usize = 8192;

/// The speakers found by clustering embeddings.
pub(super) struct VbxSpeakers {
    /// `(embedding,)`: the speaker of each embedding.
    pub(super) labels: Vec<usize>,
    /// `(speaker, dimension)`: mean of the embeddings, weighted by responsibility.
    pub(super) centroids: Array2<f64>,
    /// Whether the bounds forced a different number of speakers than VBx found.
    pub(super) forced: bool,
}

/// The initial labels for VBx, one per embedding: the dendrogram of centroid linkage, cut at
/// `parameters.threshold`.
///
/// `embeddings` `(embedding, dimension)` must be finite and nonzero.
///
/// # Errors
/// If the device fails.
pub fn vbx_first_labels(
    embeddings: ArrayView2<'_, f32>,
    parameters: &Vbx,
    device: &ComputeDevice<'_>,
) -> Result<Vec<usize>, ClusteringError> {
    if embeddings.nrows() == 0 {
        return Ok(Vec::new());
    }
    let tree = Tree::of(embeddings, Linkage::Centroid, parameters.max_embeddings, device)?;
    let heights: Vec<f64> = tree.merges.iter().map(|merge| merge.distance).collect();
    Ok(tree.cut(&heights, parameters.threshold))
}

/// The input of VBx.
pub(super) struct VbxStart {
    features: Features,
    /// `(embedding,)`: the initial label of each embedding.
    labels: Vec<usize>,
}

impl VbxStart {
    /// Computes features and initial labels of at least two `embeddings`, `(embedding, dimension)`.
    ///
    /// # Errors
    /// If `plda` is missing or invalid, or the device fails.
    pub(super) fn of(
        embeddings: ArrayView2<'_, f32>,
        parameters: &Vbx,
        plda: Option<&Plda>,
        device: &ComputeDevice<'_>,
    ) -> Result<Self, ClusteringError> {
        let plda = plda.ok_or(ClusteringError::NoPlda)?;
        plda.check()?;
        let labels = vbx_first_labels(embeddings, parameters, device)?; // (embedding,)
        let features = plda.features(embeddings, parameters.lda_dimension); // (embedding, feature)
        Ok(Self { features, labels })
    }

    /// Runs VBx, which needs the features but not the embeddings.
    ///
    /// # Errors
    /// If the device fails.
    pub(super) fn run(
        self,
        parameters: &Vbx,
        device: &ComputeDevice<'_>,
    ) -> Result<VbxPosteriors, ClusteringError> {
        vbx(self.features, &self.labels, parameters, device)
    }
}

/// The speakers of `embeddings` `(embedding, dimension)` for the result of VBx.
///
/// Each embedding counts as `independent` ones when speakers are merged (see [`merge_near`]).
///
/// If the number of speakers found by VBx is not within `bounds`, k-means of the normalized embeddings is
/// used with the nearest number that is.
///
/// Source: `VBxClustering.__call__` in `pyannote/audio/pipelines/clustering.py`.
pub(super) fn vbx_speakers(
    embeddings: ArrayView2<'_, f32>,
    posteriors: &VbxPosteriors,
    bounds: SpeakerBounds,
    parameters: &Vbx,
    independent: f64,
    compat: Compat,
    device: &ComputeDevice<'_>,
) -> Result<VbxSpeakers, ClusteringError> {
    let kept = posteriors.kept();
    let mut responsibilities = posteriors.responsibilities.select(Axis(1), &kept); // (embedding, speaker)
    if parameters.merge_distance > 0.0 {
        let distance = parameters.merge_distance;
        responsibilities = merge_near(responsibilities, embeddings, independent, distance, bounds.min);
    }
    let found = responsibilities.ncols();
    let wanted = found.max(bounds.min).min(bounds.max.unwrap_or(usize::MAX));
    if wanted != found {
        return kmeans_speakers(embeddings, wanted, &parameters.kmeans, compat, device);
    }
    let weights = responsibilities.sum_axis(Axis(0)).insert_axis(Axis(1)); // (speaker, 1)
    let sums = weighted_sums(responsibilities.view(), embeddings, |rows| rows.to_owned()); // (speaker, dimension)
    Ok(VbxSpeakers {
        labels: responsibilities.rows().into_iter().map(|row| argmax(row.iter().copied())).collect(),
        centroids: sums / weights,
        forced: false,
    })
}

/// `weights` transposed times `rows`, each block of which `prepare` changes first: `(speaker, dimension)`, in f64.
/// `weights` are `(row, speaker)`.
pub(super) fn weighted_sums(
    weights: ArrayView2<'_, f64>,
    rows: ArrayView2<'_, f32>,
    prepare: fn(ArrayView2<'_, f32>) -> Array2<f32>,
) -> Array2<f64> {
    let mut sums = Array2::<f64>::zeros((weights.ncols(), rows.ncols()));
    let blocks = weights.axis_chunks_iter(Axis(0), BLOCK).zip(rows.axis_chunks_iter(Axis(0), BLOCK));
    for (weights, rows) in blocks {
        add_products(&weights, &prepare(rows).mapv(f64::from), &mut sums);
    }
    sums
}

fn kmeans_speakers(
    embeddings: ArrayView2<'_, f32>,
    wanted: usize,
    parameters: &KMeans,
    compat: Compat,
    device: &ComputeDevice<'_>,
) -> Result<VbxSpeakers, ClusteringError> {
    if compat == Compat::Pyannote && embeddings.nrows() < wanted {
        return Err(ClusteringError::TooFewEmbeddings { embeddings: embeddings.nrows(), speakers: wanted });
    }
    let points = normalized(embeddings).mapv(f64::from); // (embedding, dimension)
    let labels = kmeans(points.view(), wanted, parameters, device)?.labels; // (embedding,)
    let found = labels::count(&labels);
    Ok(VbxSpeakers {
        centroids: cluster_means(embeddings, &labels, found).mapv(f64::from),
        labels,
        forced: true,
    })
}
