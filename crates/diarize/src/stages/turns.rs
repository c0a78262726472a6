//! From frame decisions to turns.

use std::collections::BTreeSet;

use ndarray::ArrayView2;

use super::binarize::{self, Binarize, Region};
use crate::{Turn, compat::Compat, math::SlidingWindow};

/// The turns of a discrete diarization `(frame, cluster)` of 0 and 1, sorted by start, then by end; and the
/// cluster of each speaker, starting with `SPEAKER_00`.
///
/// Speakers are numbered in the order of their clusters, skipping clusters without turns. With
/// [`Compat::Pyannote`], the order is that of the cluster indices as text (0, 1, 10, 11, 2, …). Pauses of a
/// speaker shorter than `min_duration_off` seconds are filled, turns shorter than `min_duration_on` are
/// dropped.
///
/// Source: `to_annotation` in `pyannote/audio/pipelines/utils/diarization.py` and the end of
/// `SpeakerDiarization.apply`.
pub fn turns(
    discrete: ArrayView2<'_, u8>,
    frames: SlidingWindow,
    min_duration_on: f64,
    min_duration_off: f64,
    compat: Compat,
) -> (Vec<Turn>, Vec<usize>) {
    let regions = regions(discrete, frames, min_duration_on, min_duration_off);
    let clusters: BTreeSet<usize> = regions.iter().map(|region| region.class).collect();
    let mut clusters: Vec<usize> = clusters.into_iter().collect();
    if compat == Compat::Pyannote {
        clusters.sort_by_key(usize::to_string);
    }
    (named(regions, &clusters), clusters)
}

/// The turns of another discrete diarization of the same clusters, with the labels assigned by [`turns`]:
/// `labeled` lists the cluster of each label. Turns of clusters without a label are dropped.
pub fn turns_of(
    labeled: &[usize],
    discrete: ArrayView2<'_, u8>,
    frames: SlidingWindow,
    min_duration_on: f64,
    min_duration_off: f64,
) -> Vec<Turn> {
    named(regions(discrete, frames, min_duration_on, min_duration_off), labeled)
}

fn regions(
    discrete: ArrayView2<'_, u8>,
    frames: SlidingWindow,
    min_duration_on: f64,
    min_duration_off: f64,
) -> Vec<Region> {
    let binarize = Binarize { min_duration_on, min_duration_off, ..Binarize::default() };
    binarize::renamed(binarize.regions(discrete, frames))
}

fn named(regions: Vec<Region>, labeled: &[usize]) -> Vec<Turn> {
    let number = |class| labeled.iter().position(|&cluster| cluster == class);
    let turn = |region: Region| {
        let speaker = label(number(region.class)?);
        Some(Turn::new(region.start, region.end, speaker))
    };
    regions.into_iter().filter_map(turn).collect()
}

/// The label of a speaker by its index: `SPEAKER_00`, `SPEAKER_01` and so on.
pub fn label(number: usize) -> String {
    format!("SPEAKER_{number:02}")
}
