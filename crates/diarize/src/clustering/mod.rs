//! From the embeddings of local speakers to speakers of the whole recording: the methods and their
//! parameters.
//!
//! The embeddings of local speakers who say enough are clustered, by any [`Method`]. Then all local
//! speakers are assigned to the clusters by the similarity of embedding and centroid. That may move
//! local speakers that were clustered; pyannote found it better than keeping them.
//!
//! Source: `pyannote/audio/pipelines/clustering.py`: version 3.3.2 with the settings of
//! speaker-diarization-3.1, version 4.0 with those of speaker-diarization-community-1.

mod activity;
mod agglomerative;
mod dendrogram;
mod error;
mod kmeans;
mod labels;
mod method;
mod on_device;
mod online;
mod plda;
mod random;
mod settings;
mod speakers;
mod spectral;
mod tree;
mod vbx;
mod vbx_speakers;

pub use diarize_kernels::linkage::Linkage;

pub use self::{
    agglomerative::Agglomerative,
    error::ClusteringError,
    kmeans::KMeans,
    method::Method,
    online::Online,
    settings::{Assignment, Settings},
    spectral::{Neighbors, Spectral},
    vbx::Vbx,
};
pub(crate) use self::{
    on_device::ComputeDevice,
    plda::Plda,
    speakers::{Clusters, cluster_speakers},
};
pub use crate::options::Compat;

/// What tests, benches and tools reach for.
#[cfg(feature = "unstable")]
pub(crate) mod internals {
    pub use super::{
        Mismatch,
        dendrogram::flat_clusters,
        kmeans::KMeansFit,
        plda::{Features, Plda},
        speakers::Clusters,
        vbx::{VbxPosteriors, vbx},
    };
    pub(crate) use super::{
        agglomerative::agglomerate, kmeans::kmeans, method::partition, vbx_speakers::vbx_first_labels,
    };
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
