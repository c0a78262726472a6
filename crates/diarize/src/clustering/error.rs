//! Why a clustering is impossible.

/// Why a clustering is impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusteringError {
    /// An embedding is zero or not finite, so it has no direction.
    #[error("embedding {row} is zero or not finite")]
    NoDirection {
        /// Its row, from 0.
        row: usize,
    },
    /// More speakers are asked for than there are embeddings to tell them apart. Only where pyannote's
    /// behavior is asked for; otherwise there are as many speakers as there can be.
    #[error("{embeddings} embeddings cannot make {speakers} speakers")]
    TooFewEmbeddings {
        /// Embeddings that could be clustered.
        embeddings: usize,
        /// Speakers asked for.
        speakers: usize,
    },
    /// The method needs a PLDA model.
    #[error(
        "VBx needs a PLDA, which this model does not have: use a model with one, such as \
         speaker-diarization-community-1, or another clustering method"
    )]
    NoPlda,
    /// A GPU failed at an operation, or lacks it.
    #[error("{operation} failed: {reason}")]
    Device {
        /// The operation.
        operation: &'static str,
        /// Whether the device's memory is too small.
        out_of_memory: bool,
        /// What the device said.
        reason: String,
    },
    /// The arrays of a PLDA model do not make one.
    #[error("the PLDA model is broken: {reason}")]
    Plda {
        /// What is wrong.
        reason: &'static str,
    },
}
