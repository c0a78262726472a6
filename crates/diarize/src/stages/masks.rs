//! Which frames of a chunk each local speaker's embedding is computed from.

use ndarray::{ArrayView2, Axis};

/// One mask for each local speaker of a chunk's segmentation `(frame, local speaker)`. A mask selects the
/// frames in which the speaker speaks; with `exclude_overlap`, only those in which nobody else does,
/// provided that more than `min_frames` remain.
///
/// Source: `SpeakerDiarization.get_embeddings` in pyannote/audio/pipelines/speaker_diarization.py.
pub fn embedding_masks(
    segmentation: ArrayView2<'_, u8>,
    exclude_overlap: bool,
    min_frames: usize,
) -> Vec<Vec<f32>> {
    let alone: Vec<bool> = segmentation.outer_iter().map(|frame| frame.sum() < 2).collect();
    segmentation
        .axis_iter(Axis(1))
        .map(|speaker| {
            let clean: Vec<f32> = speaker
                .iter()
                .zip(&alone)
                .map(|(&active, &alone)| if alone { f32::from(active) } else { 0.0 })
                .collect();
            if exclude_overlap && clean.iter().sum::<f32>() > min_frames as f32 {
                clean
            } else {
                speaker.iter().map(|&active| f32::from(active)).collect()
            }
        })
        .collect()
}
