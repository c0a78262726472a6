//! Who spoke when, as spans of time.

mod binarize;
mod rttm;

use std::collections::BTreeSet;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

pub use self::{
    binarize::{Binarize, Region},
    rttm::{parse_rttm, rttm},
};
use crate::{clustering::Compat, frames::SlidingWindow};

/// A span of time in which one speaker speaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// In seconds from the start of the recording.
    pub start: f64,
    /// In seconds from the start of the recording.
    pub end: f64,
    /// Name of the speaker.
    pub speaker: String,
    /// The share of the turn in which the speaker is expected to speak really, from 0 to 1 (see
    /// [`crate::confidence`]). `None` for turns from elsewhere, such as those read from RTTM.
    pub confidence: Option<f64>,
}

impl Turn {
    /// A turn that nobody said how sure to be of.
    pub fn new(start: f64, end: f64, speaker: impl Into<String>) -> Self {
        Self { start, end, speaker: speaker.into(), confidence: None }
    }
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// In seconds from the start of the recording.
    pub start: f64,
    /// In seconds from the start of the recording.
    pub end: f64,
}

/// The turns of a discrete diarization `(frame, cluster)` of 0 and 1, by start, then by end; and the
/// cluster of each speaker: that of `SPEAKER_00` first.
///
/// Speakers are numbered in the order of their clusters, without clusters that have no turn; with
/// [`Compat::Pyannote`] in the order of the clusters' numbers as text (0, 1, 10, 11, 2, …). Pauses of a
/// speaker shorter than `min_duration_off` seconds are filled, turns shorter than `min_duration_on`
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

/// The turns of another discrete diarization of the same clusters, under the names that [`turns`] gave
/// them. Turns of clusters that have no name are left out.
pub fn turns_of(
    clusters: &[usize],
    discrete: ArrayView2<'_, u8>,
    frames: SlidingWindow,
    min_duration_on: f64,
    min_duration_off: f64,
) -> Vec<Turn> {
    named(regions(discrete, frames, min_duration_on, min_duration_off), clusters)
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

fn named(regions: Vec<Region>, clusters: &[usize]) -> Vec<Turn> {
    let number = |class| clusters.iter().position(|&cluster| cluster == class);
    let turn = |region: Region| {
        let speaker = label(number(region.class)?);
        Some(Turn::new(region.start, region.end, speaker))
    };
    regions.into_iter().filter_map(turn).collect()
}

/// The name of a speaker by its number: `SPEAKER_00`, `SPEAKER_01` and so on.
pub fn label(number: usize) -> String {
    format!("SPEAKER_{number:02}")
}
