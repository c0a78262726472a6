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
mod kmeans;
mod labels;
mod method;
mod plda;
mod random;
mod settings;
mod speakers;
mod spectral;
mod sums;
mod training;
mod vbx;

pub use diarize_kernels::linkage::Linkage;
use ndarray::{Array2, Array3};

pub use self::{
    agglomerative::{Agglomerative, agglomerate, normalised},
    assignment::{assign_distinct, best_assignment},
    community::vbx_first_labels,
    dendrogram::flat_clusters,
    error::ClusteringError,
    kmeans::{KMeans, KMeansFit, kmeans},
    method::{Method, partition},
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
