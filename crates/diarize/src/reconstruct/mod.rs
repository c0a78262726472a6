//! From chunks to the whole recording: how many speak in each frame, and who.
//!
//! Source: `speaker_count` and `to_diarization` in `pyannote/audio/pipelines/utils/diarization.py`,
//! `reconstruct` in `pyannote/audio/pipelines/speaker_diarization.py`.

mod aggregate;
mod voices;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayView3, ArrayViewMut2, Axis};
use rayon::prelude::*;

pub(crate) use self::aggregate::first_frame;
use self::aggregate::total_frames;
pub use self::{
    aggregate::{Aggregation, aggregate, trim},
    voices::{Voices, WindowEmbeddings},
};
use crate::frames::SlidingWindow;

/// Cluster of a local speaker who never speaks in the chunk.
pub const INACTIVE: i32 = -2;

/// Frames that are put together at once. Bounds the memory; the result does not depend on it.
const BLOCK: usize = 8192;

/// How many people speak in each frame of the recording: the mean over the chunks that hold the
/// frame, halves rounded to even.
///
/// `segmentations` are `(chunk, frame, local speaker)`, the result is `(frame of the recording,)`.
pub fn speaker_count(
    segmentations: ArrayView3<'_, u8>,
    chunks: SlidingWindow,
    frames: SlidingWindow,
) -> Array1<u8> {
    let counts = segmentations.outer_iter().map(|chunk| {
        chunk
            .map_axis(Axis(1), |speakers| speakers.iter().map(|&active| f32::from(active)).sum())
            .insert_axis(Axis(1))
    }); // (frame, 1) for each chunk
    let aggregation = Aggregation { missing: 0.0, ..Aggregation::default() };
    let means = aggregate(counts, chunks, frames, aggregation); // (frame of the recording, 1)
    means.iter().map(|mean| mean.round_ties_even() as u8).collect()
}

/// The share of the chunks that hold a frame in which at least `speakers` people speak there, a frame in the
/// middle of a chunk weighing more than one at its ends (a Hamming window).
///
/// `segmentations` are `(chunk, frame, local speaker)`, the result is `(frame of the recording, 1)`.
///
/// Source: `VoiceActivityDetection` (one speaker) and `OverlappedSpeechDetection` (two) in
/// `pyannote/audio/pipelines`.
pub fn at_least(
    speakers: usize,
    segmentations: ArrayView3<'_, u8>,
    chunks: SlidingWindow,
    frames: SlidingWindow,
) -> Array2<f32> {
    let enough = segmentations.outer_iter().map(|chunk| {
        let speak = |frame: ArrayView1<'_, u8>| frame.iter().filter(|&&active| active != 0).count();
        chunk.map_axis(Axis(1), |frame| f32::from(u8::from(speak(frame) >= speakers))).insert_axis(Axis(1))
    }); // (frame, 1) for each chunk
    let aggregation = Aggregation { hamming: true, missing: 0.0, ..Aggregation::default() };
    aggregate(enough, chunks, frames, aggregation)
}

/// Takes local speakers who never speak in their chunk out of their cluster: [`INACTIVE`].
///
/// `hard` is `(chunk, local speaker)`, `segmentations` `(chunk, frame, local speaker)`.
pub fn mark_inactive(hard: &mut Array2<i32>, segmentations: ArrayView3<'_, u8>) {
    let speaks = segmentations.map_axis(Axis(1), |frames| frames.iter().any(|&active| active != 0)); // (chunk, local speaker)
    hard.zip_mut_with(&speaks, |cluster, &speaks| {
        if !speaks {
            *cluster = INACTIVE;
        }
    });
}

/// Which cluster speaks in which frame of the recording: `(frame of the recording, cluster)` of 0
/// and 1.
///
/// A cluster's activation in a frame is the number of chunks in which it speaks there. As many
/// clusters as [`speaker_count`] says, but at most `max_speakers`, speak: those with the highest
/// activation, even if that is 0. Among equal ones the first; pyannote leaves that to NumPy's
/// unstable sort, that is to the processor. Where more speak at once than there are clusters,
/// clusters are added: to them belong the speakers that are too many.
///
/// With `voices`, the share of the chunks in which a cluster speaks and its share of the voice in that moment
/// are added up, and decide in place of the number of chunks.
///
/// `segmentations` are `(chunk, frame, local speaker)`, `hard` is `(chunk, local speaker)` with
/// [`INACTIVE`] for nobody, `count` is `(frame of the recording,)`.
///
/// # Panics
/// If `segmentations` and `hard` differ in chunks or local speakers.
pub fn reconstruct(
    segmentations: ArrayView3<'_, u8>,
    hard: ArrayView2<'_, i32>,
    count: ArrayView1<'_, u8>,
    max_speakers: Option<usize>,
    chunks: SlidingWindow,
    frames: SlidingWindow,
    voices: Option<&Voices>,
) -> Array2<u8> {
    assert_eq!(hard.dim(), (segmentations.dim().0, segmentations.dim().2), "chunks and local speakers");
    let count = count.mapv(|count| usize::from(count).min(max_speakers.unwrap_or(usize::MAX)));
    let clusters = hard.iter().map(|&cluster| usize::try_from(cluster + 1).unwrap_or(0)).max().unwrap_or(0);
    let clusters = clusters.max(count.iter().copied().max().unwrap_or(0));

    let first: Vec<usize> = (0..hard.nrows()).map(|chunk| first_frame(chunks, frames, chunk)).collect();
    let total = total_frames(chunks, frames, hard.nrows());
    let mut discrete = Array2::zeros((total, clusters)); // (frame of the recording, cluster)
    let blocks: Vec<_> = discrete.axis_chunks_iter_mut(Axis(0), BLOCK).enumerate().collect();
    blocks.into_par_iter().for_each(|(index, block)| {
        let start = index * BLOCK;
        let mut activations = activations(segmentations, hard, &first, start, block.dim()); // (frame of the block, cluster)
        if let Some(voices) = voices {
            let length = segmentations.dim().1;
            for (frame, mut activations) in (start..).zip(activations.rows_mut()) {
                activations /= held_by(&first, length, frame).max(1) as f32;
                for (activation, share) in activations.iter_mut().zip(voices.at(frames.middle_of(frame))) {
                    *activation += share;
                }
            }
        }
        let count = count.iter().skip(start).copied();
        choose(activations.view(), count, block);
    });
    discrete
}

/// How many chunks of `length` frames hold a frame of the recording.
fn held_by(first: &[usize], length: usize, frame: usize) -> usize {
    first.partition_point(|&first| first <= frame) - first.partition_point(|&first| first + length <= frame)
}

/// In how many chunks each cluster speaks, for the frames of the recording from `start` on:
/// `(frame, cluster)` of the given shape.
fn activations(
    segmentations: ArrayView3<'_, u8>,
    hard: ArrayView2<'_, i32>,
    first: &[usize],
    start: usize,
    shape: (usize, usize),
) -> Array2<f32> {
    let mut activations = Array2::zeros(shape);
    let length = segmentations.dim().1;
    let from = first.partition_point(|&first| first + length <= start);
    let until = first.partition_point(|&first| first < start + shape.0);
    for chunk in from..until {
        let (segmentation, clusters) = (segmentations.index_axis(Axis(0), chunk), hard.row(chunk));
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
