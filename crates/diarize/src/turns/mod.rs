//! Who spoke when, as spans of time.

mod binarize;
mod rttm;

use std::collections::BTreeSet;

use ndarray::ArrayView2;

pub use self::{
    binarize::{Binarize, Region},
    rttm::{parse_rttm, rttm},
};
use crate::frames::SlidingWindow;

/// A span of time in which one speaker speaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// In seconds from the start of the recording.
    pub start: f64,
    /// In seconds from the start of the recording.
    pub end: f64,
    /// Name of the speaker.
    pub speaker: String,
}

/// The turns of a discrete diarization `(frame, cluster)` of 0 and 1, by start, then by end; and the
/// cluster of each speaker: that of `SPEAKER_00` first.
///
/// Speakers are numbered in the order of their clusters' numbers as text (0, 1, 10, 11, 2, …),
/// without clusters that have no turn. Pauses of a speaker shorter than `min_duration_off` seconds are
/// filled, turns shorter than `min_duration_on` dropped.
///
/// Source: `to_annotation` in `pyannote/audio/pipelines/utils/diarization.py` and the end of
/// `SpeakerDiarization.apply`.
pub fn turns(
    discrete: ArrayView2<'_, u8>,
    frames: SlidingWindow,
    min_duration_on: f64,
    min_duration_off: f64,
) -> (Vec<Turn>, Vec<usize>) {
    let binarize = Binarize { min_duration_on, min_duration_off, ..Binarize::default() };
    let regions = binarize::renamed(binarize.regions(discrete, frames));

    let clusters: BTreeSet<usize> = regions.iter().map(|region| region.class).collect();
    let mut clusters: Vec<usize> = clusters.into_iter().collect();
    clusters.sort_by_key(usize::to_string);
    let mut labels = vec![String::new(); discrete.ncols()];
    for (number, &cluster) in clusters.iter().enumerate() {
        labels[cluster] = label(number);
    }
    let turn =
        |region: Region| Turn { start: region.start, end: region.end, speaker: labels[region.class].clone() };
    (regions.into_iter().map(turn).collect(), clusters)
}

/// The name of a speaker by its number: `SPEAKER_00`, `SPEAKER_01` and so on.
pub fn label(number: usize) -> String {
    format!("SPEAKER_{number:02}")
}
