//! Which local speakers speak enough for their embeddings to be clustered.

use ndarray::Array2;

use crate::stages::Segmentations;

/// How much the local speakers of each chunk speak.
pub(super) struct Activity {
    /// `(chunk, local speaker)`: whether the speaker speaks at all.
    pub(super) speaks: Array2<bool>,
    /// `(chunk, local speaker)`: number of frames in which only this speaker speaks.
    alone: Array2<usize>,
    /// Frames per chunk.
    frames: usize,
}

impl Activity {
    pub(super) fn of(segmentations: &Segmentations) -> Self {
        let shape = (segmentations.chunks(), segmentations.speakers());
        Self {
            speaks: Array2::from_shape_fn(shape, |(chunk, speaker)| segmentations.speaks(chunk, speaker)),
            alone: Array2::from_shape_fn(shape, |(chunk, speaker)| segmentations.alone(chunk, speaker)),
            frames: segmentations.frames(),
        }
    }

    /// Indices of the local speakers who speak alone for at least the fraction `min_alone` of their chunk.
    /// Indices count the local speakers chunk by chunk.
    ///
    /// Source: `BaseClustering.filter_embeddings` in `pyannote/audio/pipelines/clustering.py`, with a
    /// fraction of 0.2 from version 4.0 on.
    pub(super) fn training(&self, min_alone: f64) -> Vec<usize> {
        // NumPy compares both the count and the limit as f32.
        let limit = (min_alone * self.frames as f64) as f32;
        let speakers = self.speaks.iter().zip(&self.alone).enumerate();
        let enough = speakers.filter(|&(_, (&speaks, &alone))| speaks && alone as f32 >= limit);
        enough.map(|(place, _)| place).collect()
    }
}
