//! Which local speakers say enough for their embeddings to be clustered.

use ndarray::Array2;

use crate::stages::Segmentations;

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
    pub(super) fn of(segmentations: &Segmentations) -> Self {
        let (chunks, speakers) = (segmentations.chunks(), segmentations.speakers());
        let mut alone = Array2::zeros((chunks, speakers));
        for (chunk, mut alone) in segmentations.iter().zip(alone.rows_mut()) {
            for frame in chunk.rows() {
                let mut active = (0..speakers).filter(|&speaker| frame[speaker] != 0);
                if let (Some(speaker), None) = (active.next(), active.next()) {
                    alone[speaker] += 1;
                }
            }
        }
        let speaks = Array2::from_shape_fn((chunks, speakers), |(chunk, speaker)| {
            segmentations.speaks(chunk, speaker)
        });
        Self { speaks, alone, frames: segmentations.frames() }
    }

    /// The places of the local speakers who speak alone for at least the fraction `min_alone` of their
    /// chunk. Places count local speakers chunk after chunk.
    ///
    /// Source: `BaseClustering.filter_embeddings` in `pyannote/audio/pipelines/clustering.py`, with a
    /// fraction of 0.2 from version 4.0 on.
    pub(super) fn training(&self, min_alone: f64) -> Vec<usize> {
        // NumPy compares the counts, which are f32, with the limit as f32.
        let limit = (min_alone * self.frames as f64) as f32;
        let speakers = self.speaks.iter().zip(&self.alone).enumerate();
        let enough = speakers.filter(|&(_, (&speaks, &alone))| speaks && alone as f32 >= limit);
        enough.map(|(place, _)| place).collect()
    }
}
