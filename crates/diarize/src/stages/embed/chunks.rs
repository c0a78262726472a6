//! Embeddings from running the residual network on each chunk, as in pyannote.

use candle_core::{Result as TensorResult, Tensor};

use super::{Segmented, masks_of};
use crate::{
    Result, Stage,
    engine::{BatchSize, Batches, Call, Context, Networks, Portion},
    networks::wespeaker::resize_nearest,
    options::Parameters,
    stages::Embeddings,
};

/// Chunks per batch on a GPU: convolutions keep it busy with few.
pub(super) const GPU_BATCH: usize = 64;

/// Embeds the chunks that are segmented but not yet embedded. A GPU's embeddings are stored in the next call.
pub(super) fn embed(
    embeddings: &mut Embeddings,
    batches: &mut Batches,
    segmented: Segmented<'_>,
    networks: &Networks,
    parameters: &Parameters,
    context: &Context<'_>,
) -> Result<()> {
    let segmentations = segmented.segmentations;
    let new = batches.started(embeddings.chunks())..segmentations.chunks();
    let active: Vec<usize> = new.clone().filter(|&chunk| segmentations.is_active(chunk)).collect();
    let call = Call {
        networks,
        context,
        stage: Stage::Embeddings,
        size: BatchSize { cpu: 1, gpu: parameters.embedding_batch_size.unwrap_or(GPU_BATCH) },
        total: segmented.chunks.count(segmented.waveform.expected()),
        network: |networks: &Networks, batch: &[usize]| forward(networks, &segmented, parameters, batch),
    };
    let portion = Portion { chunks: new, computed: active };
    for (portion, values) in batches.advance(portion, segmented.ended, &call)? {
        embeddings.push_chunks(portion.chunks.end, &portion.computed, &values, segmentations);
    }
    Ok(())
}

/// Embeddings of the local speakers of some chunks: `(chunk, local speaker, dimension)`.
fn forward(
    networks: &Networks,
    segmented: &Segmented<'_>,
    parameters: &Parameters,
    indices: &[usize],
) -> TensorResult<Tensor> {
    let (network, waveform, chunks) = (&networks.embedding, segmented.waveform, segmented.chunks);
    let frames = network.output_frames(chunks.length);
    let mut masks = Vec::new();
    for &chunk in indices {
        for mask in masks_of(chunk, segmented, networks, parameters) {
            masks.extend(resize_nearest(&mask, frames));
        }
    }
    let shape = [indices.len(), segmented.segmentations.speakers(), frames];
    let waveforms = networks.waveforms(waveform, chunks, indices, &networks.embedding_device)?;
    network.forward(&waveforms, &networks.tensor(masks, &shape)?)
}
