//! From chunks to the whole recording: which clusters speak in each frame.
//!
//! Source: `to_diarization` in `pyannote/audio/pipelines/utils/diarization.py`, `reconstruct` in
//! `pyannote/audio/pipelines/speaker_diarization.py`.

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::{
    Segmentations, VoiceShares,
    aggregate::{Aggregation, aggregate, first_frame, total_frames},
};
use crate::math::{INACTIVE, SlidingWindow};

/// Frames processed at once. Bounds the memory. Does not affect the result.
const BLOCK: usize = 8192;

/// The fraction of the chunks containing a frame in which at least `speakers` people speak there: `(frame
/// of the recording, 1)`. Frames in the middle of a chunk have more weight than those at its ends (a
/// Hamming window).
///
/// Source: `VoiceActivityDetection` (one speaker) and `OverlappedSpeechDetection` (two) in
/// `pyannote/audio/pipelines`.
pub fn at_least(
    speakers: usize,
    segmentations: &Segmentations,
    chunks: SlidingWindow,
    frames: SlidingWindow,
) -> Array2<f32> {
    let enough = segmentations.iter().map(|chunk| {
        let speak = |frame: ArrayView1<'_, u8>| frame.iter().filter(|&&active| active != 0).count();
        chunk.map_axis(Axis(1), |frame| f32::from(u8::from(speak(frame) >= speakers))).insert_axis(Axis(1))
    }); // (frame, 1) for each chunk
    let aggregation = Aggregation { hamming: true, missing: 0.0, ..Aggregation::default() };
    aggregate(enough, chunks, frames, aggregation)
}

/// Sets the cluster of local speakers who never speak in their chunk to [`INACTIVE`]. `hard` is `(chunk,
/// local speaker)`.
pub fn mark_inactive(hard: &mut Array2<i32>, segmentations: &Segmentations) {
    for ((chunk, speaker), cluster) in hard.indexed_iter_mut() {
        if !segmentations.speaks(chunk, speaker) {
            *cluster = INACTIVE;
        }
    }
}

/// How many clusters may speak in a frame, and how they are chosen.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Maximum number of simultaneous speakers; `None` for no limit.
    pub most: Option<usize>,
    /// Each cluster's share of the voice over time; `None` if only votes decide.
    pub voices: Option<&'a VoiceShares>,
}

/// Which clusters speak in which frame of the recording: `(frame of the recording, cluster)` of 0 and 1.
///
/// A cluster's activation in a frame is the number of chunks in which it speaks there. In each frame, the
/// clusters with the highest activations speak, even if those are 0: as many as `count` says, but at most
/// `choice.most`. Ties are resolved in favor of the lower index; pyannote leaves them to NumPy's unstable
/// sort, whose result depends on the CPU. If more people speak at once than there are clusters, clusters
/// are added.
///
/// With `choice.voices`, the activation is instead the sum of the fraction of the chunks in which the
/// cluster speaks and its share of the voice at that time.
///
/// `hard` is `(chunk, local speaker)` with [`INACTIVE`] for no cluster; `count` is `(frame of the
/// recording,)`.
///
/// # Panics
/// If `segmentations` and `hard` differ in the number of chunks or local speakers.
pub fn reconstruct(
    segmentations: &Segmentations,
    hard: ArrayView2<'_, i32>,
    count: &[u8],
    choice: Choice<'_>,
    chunks: SlidingWindow,
    frames: SlidingWindow,
) -> Array2<u8> {
    assert_eq!(hard.dim(), (segmentations.chunks(), segmentations.speakers()), "chunks and local speakers");
    let most = choice.most.unwrap_or(usize::MAX);
    let count_in = |frame: &u8| usize::from(*frame).min(most);
    let clusters = hard.iter().map(|&cluster| usize::try_from(cluster + 1).unwrap_or(0)).max().unwrap_or(0);
    let clusters = clusters.max(count.iter().map(count_in).max().unwrap_or(0));

    let first_frames: Vec<usize> =
        (0..hard.nrows()).map(|chunk| first_frame(chunks, frames, chunk)).collect();
    let total = total_frames(chunks, frames, hard.nrows());
    let mut discrete = Array2::zeros((total, clusters)); // (frame of the recording, cluster)
    let blocks: Vec<_> = discrete.axis_chunks_iter_mut(Axis(0), BLOCK).enumerate().collect();
    blocks.into_par_iter().for_each(|(index, block)| {
        let start = index * BLOCK;
        let mut activations = votes(segmentations, hard, &first_frames, start, block.dim()); // (frame of the block, cluster)
        if let Some(voices) = choice.voices {
            add_voices(&mut activations, voices, &first_frames, segmentations.frames(), start, frames);
        }
        choose(activations.view(), count.iter().skip(start).map(count_in), block);
    });
    discrete
}

/// Converts the numbers of chunks in which clusters speak, `(frame from start on, cluster)`, into fractions
/// of the chunks containing the frame, and adds the clusters' shares of the voice.
fn add_voices(
    activations: &mut Array2<f32>,
    voices: &VoiceShares,
    first_frames: &[usize],
    length: usize,
    start: usize,
    frames: SlidingWindow,
) {
    for (frame, mut activations) in (start..).zip(activations.rows_mut()) {
        activations /= held_by(first_frames, length, frame).max(1) as f32;
        for (activation, share) in activations.iter_mut().zip(voices.at(frames.middle_of(frame))) {
            *activation += share;
        }
    }
}

/// Number of chunks of `length` frames that contain a frame of the recording.
fn held_by(first_frames: &[usize], length: usize, frame: usize) -> usize {
    first_frames.partition_point(|&first| first <= frame)
        - first_frames.partition_point(|&first| first + length <= frame)
}

/// The votes: the number of chunks in which each cluster speaks, for the frames of the recording from `start` on:
/// `(frame, cluster)` of the given shape.
fn votes(
    segmentations: &Segmentations,
    hard: ArrayView2<'_, i32>,
    first_frames: &[usize],
    start: usize,
    shape: (usize, usize),
) -> Array2<f32> {
    let mut activations = Array2::zeros(shape);
    let length = segmentations.frames();
    let from = first_frames.partition_point(|&first| first + length <= start);
    let until = first_frames.partition_point(|&first| first < start + shape.0);
    for chunk in from..until {
        let (segmentation, clusters) = (segmentations.chunk(chunk), hard.row(chunk));
        let inside =
            start.saturating_sub(first_frames[chunk])..length.min(start + shape.0 - first_frames[chunk]);
        for (speaker, &cluster) in clusters.iter().enumerate() {
            // Local speakers of one cluster are combined; the first of them represents all.
            let Ok(column) = usize::try_from(cluster) else {
                continue;
            };
            if clusters.iter().take(speaker).any(|&other| other == cluster) {
                continue;
            }
            for frame in inside.clone() {
                let mut speakers = segmentation.row(frame).into_iter().zip(clusters);
                let speaks = speakers.any(|(&active, &other)| active != 0 && other == cluster);
                activations[[first_frames[chunk] + frame - start, column]] += f32::from(u8::from(speaks));
            }
        }
    }
    activations
}

/// Sets the `count` clusters with the highest activation to 1, frame by frame.
fn choose(
    activations: ArrayView2<'_, f32>,
    count: impl Iterator<Item = usize>,
    mut discrete: ArrayViewMut2<'_, u8>,
) {
    let mut order = Vec::with_capacity(activations.ncols());
    for ((activations, count), mut discrete) in
        activations.rows().into_iter().zip(count).zip(discrete.rows_mut())
    {
        order.clear();
        order.extend(0..activations.len());
        order.sort_by(|&a, &b| activations[b].total_cmp(&activations[a]));
        for &cluster in order.iter().take(count) {
            discrete[cluster] = 1;
        }
    }
}
