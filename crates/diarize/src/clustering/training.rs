//! Which local speakers say enough for their embeddings to be clustered.

use ndarray::{Array2, ArrayView3, Axis};

/// What the local speakers of each chunk do.
pub(super) struct Activity {
    /// `(chunk, local speaker)`: whether they speak at all.
    pub(super) speaks: Array2<bool>,
    /// `(chunk, local speaker)`: frames in which they speak and nobody else does.
    alone: Array2<usize>,
    /// Frames of a chunk.
    frames: usize,
}

impl Activity {
    /// Of `segmentations` `(chunk, frame, local speaker)`.
    pub(super) fn of(segmentations: ArrayView3<'_, u8>) -> Self {
        let (chunks, frames, speakers) = segmentations.dim();
        let mut alone = Array2::zeros((chunks, speakers));
        for (chunk, mut alone) in segmentations.outer_iter().zip(alone.rows_mut()) {
            for frame in chunk.rows() {
                let mut active = (0..speakers).filter(|&speaker| frame[speaker] != 0);
                if let (Some(speaker), None) = (active.next(), active.next()) {
                    alone[speaker] += 1;
                }
            }
        }
        let speaks = segmentations.map_axis(Axis(1), |frames| frames.iter().any(|&active| active != 0));
        Self { speaks, alone, frames }
    }

    /// The local speakers who speak, and alone for at least the share `min_alone` of their chunk, by
    /// their place among all, chunk after chunk.
    ///
    /// Source: `BaseClustering.filter_embeddings` in `pyannote/audio/pipelines/clustering.py`, with a
    /// share of 0.2 from version 4.0 on.
    pub(super) fn training(&self, min_alone: f64) -> Vec<usize> {
        // NumPy compares the counts, which are f32, with the limit as f32.
        let limit = (min_alone * self.frames as f64) as f32;
        let speakers = self.speaks.iter().zip(&self.alone).enumerate();
        let enough = speakers.filter(|&(_, (&speaks, &alone))| speaks && alone as f32 >= limit);
        enough.map(|(place, _)| place).collect()
    }
}
