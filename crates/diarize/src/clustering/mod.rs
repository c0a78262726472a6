//! Clustering the local speakers of all chunks into speakers of the recording: methods and parameters.
//!
//! The embeddings of local speakers who speak enough are clustered with a [`Method`]. Then all local
//! speakers are assigned to the clusters by the similarity of their embedding to the centroid. This may
//! move local speakers to another cluster than the method did; pyannote found that this improves results.
//!
//! Source: `pyannote/audio/pipelines/clustering.py`: version 3.3.2 with the settings of
//! speaker-diarization-3.1, version 4.0 with those of speaker-diarization-community-1.

mod activity;
mod agglomerative;
mod dendrogram;
mod error;
mod kmeans;
mod labels;
mod merge;
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
pub use crate::compat::{Compat, Pyannote};

/// Items exposed to tests, benches and tools.
#[cfg(feature = "unstable")]
pub(crate) mod internals {
    pub(crate) use super::{
        agglomerative::agglomerate, kmeans::kmeans, method::partition, vbx::vbx,
        vbx_speakers::vbx_first_labels,
    };
    pub use super::{
        dendrogram::flat_clusters,
        kmeans::KMeansFit,
        plda::{Features, Plda},
        speakers::Clusters,
        vbx::VbxPosteriors,
    };
}
