//! Embedding the local speakers of chunks, and short windows along the recording.

mod chunks;
mod pieces;
mod sets;
mod shared;
mod spans;

use self::shared::FromTrunk;
pub(crate) use self::spans::SpanEmbedder;
use super::{Embeddings, Segmentations, SpeakerCounter, Vectors, WindowEmbeddings, embedding_masks};
use crate::{
    Error, Result,
    engine::{Batches, Chunks, Context, Networks, Waveform},
    options::{EmbeddingTrunk, Parameters, Reconstruction},
};

/// Chunks, and pieces of a recording, that a GPU embeds together.
#[cfg(feature = "unstable")]
pub(crate) const GPU_BATCHES: [usize; 2] = [chunks::GPU_BATCH, crate::engine::SharedTrunk::AT_ONCE];

/// The data available for embedding chunks.
#[derive(Clone, Copy)]
pub(crate) struct Segmented<'a> {
    pub(crate) waveform: &'a Waveform,
    pub(crate) chunks: &'a Chunks,
    pub(crate) segmentations: &'a Segmentations,
    /// Whether all samples have been received and all chunks are segmented.
    pub(crate) ended: bool,
}

/// Embeds chunks as they are segmented.
///
/// The residual network runs once per chunk, or once on the recording, however many local speakers there
/// are. It is skipped where nobody speaks.
#[derive(Clone, Debug)]
pub(crate) enum Embedder {
    /// No embeddings are needed.
    Nothing,
    /// Runs the network on each chunk separately.
    Chunks(Embeddings, Batches),
    /// Uses frames computed once for the whole recording.
    Trunk(Box<FromTrunk>),
}

impl Embedder {
    /// An embedder that has not embedded any chunk.
    pub(crate) fn new(networks: &Networks, chunks: &Chunks, parameters: &Parameters) -> Result<Self> {
        let (network, speakers) = (&networks.embedding, networks.manifest.segmentation.speakers);
        let dimension = networks.manifest.embedding.dimension;
        let of_nobody = network.embedding_of_nobody().to_vec();
        // Not rounded to f16: on short recordings even that changes how many speakers are found.
        let embeddings = Embeddings::new(speakers, of_nobody, Vectors::exact(dimension));
        let windows = match (parameters.reconstruction, &networks.manifest.voices) {
            (Reconstruction::Votes, _) => None,
            (Reconstruction::Voices, Some(windows)) => Some(windows),
            (Reconstruction::Voices, None) => return Err(no_voices()),
        };
        Ok(match parameters.embedding_trunk {
            EmbeddingTrunk::Chunk => {
                network.resnet.run_often();
                Self::Chunks(embeddings, Batches::default())
            }
            EmbeddingTrunk::Shared => {
                Self::Trunk(Box::new(FromTrunk::new(networks, chunks, embeddings, windows)))
            }
        })
    }

    /// Embeds all segmented chunks that can be embedded: `(chunk, local speaker, dimension)`, and with
    /// [`Reconstruction::Voices`] also windows: `(window, dimension)`.
    pub(crate) fn advance(
        &mut self,
        segmented: Segmented<'_>,
        count: &SpeakerCounter,
        networks: &Networks,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Chunks(embeddings, batches) => {
                chunks::embed(embeddings, batches, segmented, networks, parameters, context)
            }
            Self::Trunk(trunk) => trunk.advance(segmented, count, networks, parameters, context),
        }
    }

    /// The first sample that is still needed.
    pub(crate) fn first_sample(&self, networks: &Networks, chunks: &Chunks) -> usize {
        match self {
            Self::Nothing => usize::MAX,
            Self::Chunks(embeddings, _) => chunks.start(embeddings.chunks()),
            Self::Trunk(trunk) => trunk.first_sample(networks, chunks),
        }
    }

    /// The embeddings of local speakers and of windows.
    pub(crate) fn finish(self) -> (Option<Embeddings>, Option<WindowEmbeddings>) {
        match self {
            Self::Nothing => (None, None),
            Self::Chunks(embeddings, _) => (Some(embeddings), None),
            Self::Trunk(trunk) => {
                let (embeddings, windows) = trunk.finish();
                (Some(embeddings), windows)
            }
        }
    }
}

/// The error for a model without settings for comparing voices.
pub(crate) fn no_voices() -> Error {
    Error::InvalidOption {
        option: "reconstruction",
        value: Reconstruction::Voices.to_string(),
        requirement: "votes, since this model's manifest has no [voices] section",
    }
}

/// One mask `(frame,)` for each local speaker of a chunk.
fn masks_of(
    chunk: usize,
    segmented: &Segmented<'_>,
    networks: &Networks,
    parameters: &Parameters,
) -> Vec<Vec<f32>> {
    let segmentation = segmented.segmentations.chunk(chunk); // (frame, local speaker)
    let min_frames =
        (segmentation.nrows() * networks.embedding.min_samples()).div_ceil(segmented.chunks.length);
    embedding_masks(segmentation.view(), parameters.embedding_exclude_overlap, min_frames)
}
