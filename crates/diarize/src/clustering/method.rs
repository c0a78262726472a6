//! Every way to cluster embeddings, behind one function.

use ndarray::{ArrayView2, Axis};
use serde::{Deserialize, Serialize};

use super::{
    Agglomerative, ClusteringError, ComputeDevice, KMeans, Mismatch, Online, Spectral, Vbx,
    agglomerative::agglomerate, kmeans::kmeans, labels, online::online, plda::Plda, spectral::spectral,
    vbx_speakers::vbx_speakers,
};
use crate::{
    math::{norm, normalized},
    options::{Compat, SpeakerBounds},
};

/// A way to cluster embeddings, with its parameters. All are deterministic, those with random numbers
/// by their seed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Merging the nearest clusters up to a threshold. Well understood, robust, exact; the time grows
    /// with the square of the number of embeddings, and so does the memory.
    ///
    /// Centroid linkage with the default threshold is what speaker-diarization-3.1 uses. Average linkage
    /// is the classic of the field and has no inversions; complete and Ward's linkage give clusters of
    /// about the same width; single linkage chains clusters and suits clean embeddings alone. Each needs
    /// a threshold of its own.
    Agglomerative(Agglomerative),
    /// Agglomerative clustering refined by variational Bayes in a PLDA space: what
    /// speaker-diarization-community-1 uses. The best at counting speakers; needs a PLDA model that was
    /// trained on embeddings of the same network.
    Vbx(Vbx),
    /// k-means of normalized embeddings. For a known number of speakers: without bounds it makes one
    /// cluster, otherwise as many as the lower bound says. Fast at any size.
    KMeans(KMeans),
    /// The loosely connected parts of a graph of neighbors. Needs no threshold, and no scale of the
    /// distances is assumed; good at counting a few speakers who all say enough, blind to one who says
    /// little.
    Spectral(Spectral),
    /// Each embedding to the nearest speaker known so far, or to a new one, after a fixed delay at most.
    /// For streams, whose end cannot be waited for, and for recordings of any length: time and memory grow
    /// with the number of embeddings alone. Depends on their order, and counts less well than the methods
    /// that see all of them.
    Online(Online),
}

/// Clusters `embeddings` `(embedding, dimension)`: a cluster for each, from 0 without gaps, and what
/// the bounds asked for if it could not be had.
///
/// At most as many clusters as embeddings are made, and fewer only where the embeddings do not give
/// them. `plda` is needed by VBx alone.
///
/// # Errors
/// An embedding that is zero or not finite; VBx without a PLDA model or with a broken one; a failure of
/// the device.
///
/// # Panics
/// If the PLDA model is for embeddings of another size.
pub fn partition(
    embeddings: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    method: &Method,
    plda: Option<&Plda>,
    place: &ComputeDevice<'_>,
) -> Result<(Vec<usize>, Option<Mismatch>), ClusteringError> {
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
    let labels = match method {
        _ if bounds.max == Some(1) => vec![0; count],
        Method::Agglomerative(parameters) => agglomerate(embeddings, bounds, parameters, place)?.0,
        Method::Vbx(parameters) => {
            let speakers = vbx_speakers(embeddings, bounds, parameters, plda, Compat::Off, place)?;
            labels::by_first_member(&speakers.labels)
        }
        Method::KMeans(parameters) => {
            let points = normalized(embeddings).mapv(f64::from); // (embedding, dimension)
            kmeans(points.view(), bounds.min, parameters, place)?.labels
        }
        Method::Spectral(parameters) => {
            let bounds = SpeakerBounds { max: asked.max.and(bounds.max), ..bounds };
            spectral(embeddings, bounds, parameters, place)?
        }
        Method::Online(parameters) => online(embeddings, bounds, parameters),
    };
    let found = labels::count(&labels);
    let wanted = found.max(asked.min).min(asked.max.unwrap_or(usize::MAX));
    let mismatch = (found != wanted && count > 0).then_some(Mismatch { wanted, found });
    Ok((labels, mismatch))
}
