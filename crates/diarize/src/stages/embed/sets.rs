//! The frames of a recording that are kept, and the weights with which they are pooled.

use std::ops::Range;

use candle_core::{Result as TensorResult, Tensor};
use diarize_kernels::stats_pool::stats_pool_sections;

use crate::{engine::Networks, networks::wespeaker::resnet};

/// How far a recording is embedded, and the frames still needed. They stay on the device.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Number of pieces of the residual network's frames computed so far.
    pub(super) pieces: usize,
    /// Number of chunks and of windows whose last frame has been computed.
    pub(super) chunks: usize,
    pub(super) windows: usize,
    /// The first frame of `frames` and `alone`.
    pub(super) start: usize,
    /// `(10, frame, 256)`; absent before the first piece with speech.
    pub(super) frames: Option<Tensor>,
    /// `(frame,)`: 1 where exactly one speaker speaks.
    pub(super) alone: Vec<f32>,
}

/// The sets of weights with which a batch of frames is pooled: those of chunks, then those of windows.
#[derive(Clone, Debug, Default)]
pub(super) struct Sets {
    /// The chunks in which somebody speaks, and the end of all chunks.
    pub(super) active: Vec<usize>,
    pub(super) until: usize,
    /// For each window, whether anyone speaks alone in it. The others have no embedding.
    pub(super) spoken: Vec<bool>,
    /// `(set, length)` zeros and ones.
    pub(super) weights: Vec<f32>,
    pub(super) length: usize,
    /// The frame of each set's first weight, counted from the first one that is kept.
    pub(super) first: Vec<usize>,
}

impl Progress {
    /// Index of the first frame not yet computed.
    pub(super) fn end(&self) -> usize {
        self.start + self.alone.len()
    }

    /// Whether someone speaks alone in any of some frames.
    pub(super) fn is_spoken(&self, frames: Range<usize>) -> bool {
        self.alone[frames.start - self.start..frames.end - self.start].contains(&1.0)
    }

    /// Whether the frames are on the networks' device. If not, the device has failed and the CPU has taken over.
    pub(super) fn is_on(&self, networks: &Networks) -> bool {
        self.frames.as_ref().is_none_or(|frames| frames.device().same_device(&networks.embedding_device))
    }
}

/// The embeddings of sets of weights, `(1, set, dimension)`; `None` if there are no sets.
pub(super) fn pool(sets: &Sets, progress: &Progress, networks: &Networks) -> TensorResult<Option<Tensor>> {
    if sets.first.is_empty() {
        return Ok(None);
    }
    let Some(frames) = &progress.frames else {
        // Somebody speaks too briefly for any frame.
        let width = 2 * resnet::features(&networks.manifest.embedding);
        let nothing = networks.tensor(vec![0.0; sets.first.len() * width], &[1, sets.first.len(), width])?;
        return networks.embedding.project(&nothing).map(Some);
    };
    let unused = frames.dim(1)? - progress.alone.len();
    let first: Vec<usize> = sets.first.iter().map(|first| unused + first).collect();
    let weights = networks.tensor(sets.weights.clone(), &[first.len(), sets.length])?;
    let statistics = stats_pool_sections(frames, &weights, &first)?; // (set, 5120)
    networks.embedding.project(&statistics.unsqueeze(0)?).map(Some)
}
