//! From the embeddings of local speakers to speakers of the whole recording.
//!
//! The embeddings of local speakers who say enough are clustered, by any [`Method`]. Then all local
//! speakers are assigned to the clusters by the similarity of embedding and centroid, those that were
//! clustered too, which may move them: pyannote found that better than keeping them.
//! [`cluster_speakers`] does all of it, [`partition`] only the clustering.
//!
//! Source: `pyannote/audio/pipelines/clustering.py`: version 3.3.2 with the settings of
//! speaker-diarization-3.1, version 4.0 with those of speaker-diarization-community-1.

mod agglomerative;
mod assignment;
mod community;
mod dendrogram;
mod error;
mod gpu;
mod kmeans;
mod labels;
mod method;
mod online;
mod plda;
mod random;
mod settings;
mod speakers;
mod spectral;
mod sums;
mod training;
mod tree;
mod vbx;

pub use diarize_kernels::linkage::Linkage;
use ndarray::{Array2, Array3, Axis};

pub(crate) use self::gpu::with_device;
pub use self::{
    agglomerative::{Agglomerative, agglomerate, normalised},
    assignment::{assign_distinct, best_assignment},
    community::vbx_first_labels,
    dendrogram::flat_clusters,
    error::ClusteringError,
    kmeans::{KMeans, KMeansFit, kmeans},
    method::{Method, partition},
    online::Online,
    plda::{Features, Plda},
    settings::{Assignment, Compat, Settings},
    speakers::cluster_speakers,
    spectral::{Neighbours, Spectral},
    vbx::{Vbx, VbxPosteriors, vbx},
};

/// Which local speakers are the same person.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// `(chunk, local speaker)`: the cluster, from 0, also of local speakers who never speak;
    /// [`crate::reconstruct::INACTIVE`] for those who were left over.
    pub hard: Array2<i32>,
    /// `(chunk, local speaker, cluster)`: 2 minus the cosine distance of embedding and centroid; less
    /// than all others for those who never speak, where they must take no cluster from others.
    pub soft: Array3<f64>,
    /// `(chunk, local speaker)`: how much nearer the embedding is to the mean of its own cluster than to
    /// any other's, from -1 to 1 (see [`crate::confidence`]); 1 where there was nothing to decide.
    pub separation: Array2<f32>,
    /// `(cluster, dimension)`: mean of the embeddings, not normalised, that were clustered together.
    pub centroids: Array2<f32>,
    /// Set where the bounds could not be kept.
    pub mismatch: Option<Mismatch>,
}

/// The bounds ask for a number of clusters that the method does not find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The number of clusters asked for.
    pub wanted: usize,
    /// The nearest number that was found. For agglomerative clustering, a smaller `min_cluster_size`
    /// might help.
    pub found: usize,
}

/// How much nearer each local speaker is to its own cluster than to any other: `(r - d) / max(r, d)`
/// of the cosine distances `d` from the own mean and `r` from the nearest other, but at most 1. 0 for who
/// belongs to no cluster or has no direction. `similarities` are 2 minus the distances.
fn separation(similarities: &Array3<f64>, hard: &Array2<i32>) -> Array2<f32> {
    let mut separation = Array2::zeros(hard.dim());
    let rows = similarities.lanes(Axis(2)).into_iter().zip(hard);
    for (separation, (similarities, &cluster)) in separation.iter_mut().zip(rows) {
        let Ok(cluster) = usize::try_from(cluster) else { continue };
        let others = similarities.iter().enumerate().filter(|&(other, _)| other != cluster);
        let own = 2.0 - similarities[cluster];
        let rival = others.map(|(_, similarity)| 2.0 - similarity).fold(1.0, f64::min);
        let larger = own.max(rival);
        if larger > 0.0 && own.is_finite() {
            *separation = ((rival - own) / larger) as f32;
        }
    }
    separation
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
