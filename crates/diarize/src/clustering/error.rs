//! Errors of clustering.

/// Why clustering failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusteringError {
    /// An embedding is zero or not finite.
    #[error("embedding {row} is zero or not finite")]
    NoDirection {
        /// Index of the embedding.
        row: usize,
    },
    /// More speakers are requested than there are embeddings. Only with
    /// [`Compat::Pyannote`](super::Compat); otherwise there are as many speakers as possible.
    #[error("cannot find {speakers} speakers in {embeddings} embeddings")]
    TooFewEmbeddings {
        /// Number of embeddings that could be clustered.
        embeddings: usize,
        /// Number of speakers requested.
        speakers: usize,
    },
    /// The method needs a PLDA model.
    #[error(
        "VBx needs a PLDA model, which this model does not have: use a model with one, such as \
         speaker-diarization-community-1, or another clustering method"
    )]
    NoPlda,
    /// An operation failed on a GPU, or is not supported by it.
    #[error("{operation} failed: {reason}")]
    Device {
        /// The operation.
        operation: &'static str,
        /// Whether the device ran out of memory.
        out_of_memory: bool,
        /// Error reported by the device.
        reason: String,
    },
    /// An observer told clustering to stop. This library's functions return [`crate::Error::Cancelled`] instead.
    #[error("clustering was stopped")]
    Stopped,
    /// The arrays of a PLDA model are inconsistent or have invalid values.
    #[error("the PLDA model is invalid: {reason}")]
    Plda {
        /// What is wrong.
        reason: &'static str,
    },
}
