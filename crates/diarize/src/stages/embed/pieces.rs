//! The frames of consecutive pieces of a recording.

use std::ops::Range;

use candle_core::Result as TensorResult;
use diarize_kernels::{device::is_out_of_memory, splice::Part};
use rayon::prelude::*;

use super::Segmented;
use crate::{
    Result, Stage,
    engine::{Context, Networks, SharedTrunk, Waveform},
    math::count_while,
};

/// Pieces whose frames are pooled together on a GPU.
pub(super) const GPU_BATCH: usize = 8;

/// Computes the frames of some consecutive pieces. Those that are not `spoken` are zeros.
pub(super) fn compute(
    pieces: Range<usize>,
    spoken: &[bool],
    trunk: &SharedTrunk<'_>,
    waveform: &Waveform,
    networks: &Networks,
    context: &Context<'_>,
) -> Result<Vec<Part>> {
    let silent = |piece: usize| Part::Zeros(trunk.frames_of_piece(piece).len());
    if networks.device.is_cpu() {
        let one = |(piece, &spoken): (usize, &bool)| match spoken {
            true => trunk.compute(piece..piece + 1, waveform, &networks.embedding_device),
            false => Ok(vec![silent(piece)]),
        };
        let computed: TensorResult<Vec<Vec<Part>>> = match spoken {
            [spoken] => one((pieces.start, spoken)).map(|parts| vec![parts]),
            _ => pieces.into_par_iter().zip(spoken).map(one).collect(),
        };
        return Ok(computed.map_err(networks.failed(Stage::Embeddings))?.concat());
    }
    let mut computed = Vec::with_capacity(pieces.len());
    let mut next = pieces.start;
    for run in spoken.chunk_by(|a, b| a == b) {
        let pieces = next..next + run.len();
        next = pieces.end;
        match run[0] {
            true => computed.extend(on_gpu(pieces, trunk, waveform, networks, context)?),
            false => computed.extend(pieces.map(silent)),
        }
    }
    Ok(computed)
}

/// Computes the frames of some consecutive pieces on a GPU, in batches that are halved while they do not fit into its
/// memory.
fn on_gpu(
    pieces: Range<usize>,
    trunk: &SharedTrunk<'_>,
    waveform: &Waveform,
    networks: &Networks,
    context: &Context<'_>,
) -> Result<Vec<Part>> {
    let mut computed = Vec::with_capacity(pieces.len());
    let mut next = pieces.start;
    while next < pieces.end {
        let size = context.batch_size(Stage::Embeddings, GPU_BATCH).min(pieces.end - next);
        match trunk.compute(next..next + size, waveform, &networks.embedding_device) {
            Err(error) if size > 1 && is_out_of_memory(&error) => {
                context.reduce_batches(Stage::Embeddings, size, size / 2)?;
            }
            frames => {
                computed.extend(frames.map_err(networks.failed(Stage::Embeddings))?);
                next += size;
            }
        }
    }
    Ok(computed)
}

/// For each of some frames, whether anyone speaks there in any chunk containing it.
pub(super) fn speech(trunk: &SharedTrunk<'_>, segmented: &Segmented<'_>, frames: Range<usize>) -> Vec<bool> {
    let mut speech = vec![false; frames.len()];
    let segmentations = segmented.segmentations;
    let chunks = segmentations.chunks();
    let from = count_while(chunks, |chunk| trunk.frames_of_chunk(chunk).end <= frames.start);
    let until = count_while(chunks, |chunk| trunk.frames_of_chunk(chunk).start < frames.end);
    for chunk in (from..until).filter(|&chunk| segmentations.is_active(chunk)) {
        let decisions = segmentations.chunk(chunk); // (frame, local speaker)
        let anybody: Vec<f32> =
            decisions.outer_iter().map(|speakers| f32::from(u8::from(speakers.sum() > 0))).collect();
        for (frame, speaks) in trunk.frames_of_chunk(chunk).zip(trunk.resize(&anybody, chunk)) {
            if frames.contains(&frame) {
                speech[frame - frames.start] |= speaks != 0.0;
            }
        }
    }
    speech
}
