//! All clustering methods behind a common function.

use ndarray::{ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::{
    Agglomerative, ClusteringError, ComputeDevice, KMeans, Online, Spectral, Vbx,
    agglomerative::agglomerate,
    kmeans::kmeans,
    labels,
    online::online,
    plda::Plda,
    spectral::spectral,
    vbx_speakers::{VbxStart, vbx_speakers},
};
use crate::{
    compat::Compat,
    math::{norm, normalized},
    options::SpeakerBounds,
};

/// A clustering method with its parameters. All methods are deterministic; random numbers depend only on
/// the seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Method {
    /// Merges the nearest clusters up to a threshold. Well understood, robust and exact, but time and
    /// memory grow with the square of the number of embeddings.
    ///
    /// speaker-diarization-3.1 uses centroid linkage with the default threshold. Average linkage is a
    /// common choice in the field and has no inversions; complete and Ward linkage give clusters of similar
    /// diameter; single linkage tends to chain clusters and is only suitable for clean embeddings. Each
    /// linkage needs its own threshold.
    Agglomerative(Agglomerative),
    /// Agglomerative clustering refined by variational Bayes in a PLDA space, as in
    /// speaker-diarization-community-1. The best method for estimating the number of speakers; needs a PLDA
    /// model trained on embeddings of the same network.
    Vbx(Vbx),
    /// k-means of normalized embeddings, for a known number of speakers. It finds as many clusters as the
    /// lower bound, that is one if there is none. Fast at any size.
    KMeans(KMeans),
    /// Partitions a nearest-neighbor graph where it is weakly connected. Needs no threshold and does not
    /// depend on the scale of the distances. Good at counting a few speakers who all speak enough, but
    /// misses those who speak little.
    Spectral(Spectral),
    /// Assigns each embedding to the nearest known speaker or a new one, after at most a fixed delay. For
    /// recordings of any length: time and memory grow linearly with the number of
    /// embeddings. Results depend on their order, and the number of speakers is less accurate than with
    /// methods that see all embeddings.
    Online(Online),
}

/// Clusters `embeddings` `(embedding, dimension)`. Returns one label per embedding; labels are consecutive
/// from 0. Their number can violate the bounds: not every method can satisfy all of them.
///
/// There are at most as many clusters as embeddings; bounds beyond that are reduced. Only VBx needs `plda`.
///
/// # Errors
/// If an embedding is zero or not finite; for VBx, if the PLDA model is missing or invalid; if the device
/// fails.
///
/// # Panics
/// If the PLDA model expects embeddings of another dimension.
pub fn partition(
    embeddings: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    method: &Method,
    plda: Option<&Plda>,
    device: &ComputeDevice<'_>,
) -> Result<Vec<usize>, ClusteringError> {
    for (row, embedding) in embeddings.axis_iter(Axis(0)).enumerate() {
        let norm = norm(embedding);
        if !(norm > 0.0 && norm.is_finite()) {
            return Err(ClusteringError::NoDirection { row });
        }
    }
    let count = embeddings.nrows();
    let most = count.max(1);
    let asked = bounds;
    let bounds = SpeakerBounds {
        min: bounds.min.clamp(1, most),
        max: Some(bounds.max.unwrap_or(most).clamp(1, most)),
    };
    Ok(match method {
        _ if bounds.max == Some(1) => vec![0; count],
        Method::Agglomerative(parameters) => agglomerate(embeddings, bounds, parameters, device)?,
        Method::Vbx(parameters) => {
            let posteriors = VbxStart::of(embeddings, parameters, plda, device)?.run(parameters, device)?;
            let speakers =
                vbx_speakers(embeddings, &posteriors, bounds, parameters, 1.0, Compat::Off, device)?;
            labels::by_first_member(&speakers.labels)
        }
        Method::KMeans(parameters) => {
            let points = normalized(embeddings).mapv(f64::from); // (embedding, dimension)
            kmeans(points.view(), bounds.min, parameters, device)?.labels
        }
        Method::Spectral(parameters) => {
            let bounds = SpeakerBounds { max: asked.max.and(bounds.max), ..bounds };
            spectral(embeddings, bounds, parameters, device)?
        }
        Method::Online(parameters) => online(embeddings, bounds, parameters, device)?,
    })
}
