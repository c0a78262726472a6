//! The stages of the pipeline, in this order: `segment` (with `decode`), `count`, `masks`, `embed`, then clustering
//! ([`crate::clustering`]), `voice_shares`, `reconstruct`, `turns` (with `binarize`) and `confidence`.

mod aggregate;
mod binarize;
pub(crate) mod confidence;
mod count;
mod decode;
mod embed;
mod embeddings;
mod masks;
mod reconstruct;
mod segment;
mod segmentations;
mod turns;
mod voice_shares;

pub(crate) use self::{
    binarize::Binarize,
    count::is_silent,
    embed::{Embedder, Segmented, SpanEmbedder, no_voices},
    reconstruct::{Choice, at_least, mark_inactive, reconstruct},
    segment::{Segmenter, chunks_to_segment},
    turns::{turns, turns_of},
};
pub use self::{
    binarize::Region,
    count::SpeakerCounter,
    decode::Decoder,
    embeddings::{Embeddings, Vectors},
    masks::embedding_masks,
    segmentations::Segmentations,
    turns::label,
    voice_shares::{VoiceShares, WindowEmbeddings},
};

#[cfg(feature = "unstable")]
pub(crate) use self::{
    count::speaker_count, embed::GPU_BATCHES as EMBEDDED_ON_GPU, segment::GPU_BATCH as SEGMENTED_ON_GPU,
};

/// Items exposed to tests, benches and tools.
#[cfg(feature = "unstable")]
pub(crate) mod internals {
    pub use super::{
        aggregate::{Aggregation, aggregate, trim},
        binarize::{Binarize, Region},
        confidence::{Evidence, Votes},
        decode::Decoder,
        embeddings::{Embeddings, Vectors},
        masks::embedding_masks,
        segmentations::Segmentations,
        turns::{label, turns, turns_of},
        voice_shares::{VoiceShares, WindowEmbeddings},
    };
}
