//! From chunks to the whole recording: who speaks in each frame.
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

/// Frames reconstructed at once. Bounds the memory; the result does not depend on it.
const BLOCK: usize = 8192;

/// The fraction of the chunks that hold a frame in which at least `speakers` people speak there:
/// `(frame of the recording, 1)`. Frames in the middle of a chunk weigh more than those at its ends (a
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

/// Takes local speakers who never speak in their chunk out of their cluster: [`INACTIVE`]. `hard` is
/// `(chunk, local speaker)`.
pub fn mark_inactive(hard: &mut Array2<i32>, segmentations: &Segmentations) {
    for ((chunk, speaker), cluster) in hard.indexed_iter_mut() {
        if !segmentations.speaks(chunk, speaker) {
            *cluster = INACTIVE;
        }
    }
}

/// How many speakers a frame may have, and what decides who they are.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// At most this many speakers at once; `None` for no limit.
    pub most: Option<usize>,
    /// Whose voice is heard in each moment; `None` if votes alone decide.
    pub voices: Option<&'a VoiceShares>,
}

/// Which cluster speaks in which frame of the recording: `(frame of the recording, cluster)` of 0 and 1.
///
/// A cluster's activation in a frame is the number of chunks in which it speaks there. In each frame the
/// clusters with the highest activation speak, even if that is 0: as many as `count` says, at most
/// `choice.most`. Among equal ones the first speaks; pyannote leaves that to NumPy's unstable sort, that
/// is to the processor. If more speak at once than there are clusters, clusters are added for them.
///
/// With `choice.voices`, the fraction of the chunks in which a cluster speaks and its share of the voice in
/// that moment are added up, and decide in place of the number of chunks.
///
/// `hard` is `(chunk, local speaker)` with [`INACTIVE`] for nobody, `count` is `(frame of the recording,)`.
///
/// # Panics
/// If `segmentations` and `hard` differ in chunks or local speakers.
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

    let first: Vec<usize> = (0..hard.nrows()).map(|chunk| first_frame(chunks, frames, chunk)).collect();
    let total = total_frames(chunks, frames, hard.nrows());
    let mut discrete = Array2::zeros((total, clusters)); // (frame of the recording, cluster)
    let blocks: Vec<_> = discrete.axis_chunks_iter_mut(Axis(0), BLOCK).enumerate().collect();
    blocks.into_par_iter().for_each(|(index, block)| {
        let start = index * BLOCK;
        let mut activations = activations(segmentations, hard, &first, start, block.dim()); // (frame of the block, cluster)
        if let Some(voices) = choice.voices {
            add_voices(&mut activations, voices, &first, segmentations.frames(), start, frames);
        }
        choose(activations.view(), count.iter().skip(start).map(count_in), block);
    });
    discrete
}

/// Turns the numbers of chunks in which clusters speak, `(frame from start on, cluster)`, into fractions of
/// the chunks that hold the frame, and adds the clusters' shares of the voice.
fn add_voices(
    activations: &mut Array2<f32>,
    voices: &VoiceShares,
    first: &[usize],
    length: usize,
    start: usize,
    frames: SlidingWindow,
) {
    for (frame, mut activations) in (start..).zip(activations.rows_mut()) {
        activations /= held_by(first, length, frame).max(1) as f32;
        for (activation, share) in activations.iter_mut().zip(voices.at(frames.middle_of(frame))) {
            *activation += share;
        }
    }
}

/// How many chunks of `length` frames hold a frame of the recording.
fn held_by(first: &[usize], length: usize, frame: usize) -> usize {
    first.partition_point(|&first| first <= frame) - first.partition_point(|&first| first + length <= frame)
}

/// In how many chunks each cluster speaks, for the frames of the recording from `start` on:
/// `(frame, cluster)` of the given shape.
fn activations(
    segmentations: &Segmentations,
    hard: ArrayView2<'_, i32>,
    first: &[usize],
    start: usize,
    shape: (usize, usize),
) -> Array2<f32> {
    let mut activations = Array2::zeros(shape);
    let length = segmentations.frames();
    let from = first.partition_point(|&first| first + length <= start);
    let until = first.partition_point(|&first| first < start + shape.0);
    for chunk in from..until {
        let (segmentation, clusters) = (segmentations.chunk(chunk), hard.row(chunk));
        let inside = start.saturating_sub(first[chunk])..length.min(start + shape.0 - first[chunk]);
        for (speaker, &cluster) in clusters.iter().enumerate() {
            // Local speakers of one cluster speak together: the first of them stands for all.
            let Ok(column) = usize::try_from(cluster) else {
                continue;
            };
            if clusters.iter().take(speaker).any(|&other| other == cluster) {
                continue;
            }
            for frame in inside.clone() {
                let mut speakers = segmentation.row(frame).into_iter().zip(clusters);
                let speaks = speakers.any(|(&active, &other)| active != 0 && other == cluster);
                activations[[first[chunk] + frame - start, column]] += f32::from(u8::from(speaks));
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
