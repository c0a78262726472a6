//! How right a diarization is: the diarization error rate and its parts, the Jaccard error rate, and
//! the number of speakers.
//!
//! The numbers are those of `pyannote.metrics` 3 (`DiarizationErrorRate`, `JaccardErrorRate`).
//!
//! Sources: `pyannote/metrics/diarization.py`, `identification.py`, `matcher.py` and `utils.py`; N. Ryant
//! et al., "Second DIHARD Challenge Evaluation Plan", 2019, for the Jaccard error rate.

mod sweep;
mod uem;

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use self::sweep::Sweep;
pub use self::uem::parse_uem;
use crate::{Span, Turn, math::best_assignment};

/// What is left out of a score.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rules {
    /// Seconds around each start and end of a reference turn that do not count: the total width, half
    /// of it on either side, as pyannote states it. (`md-eval` states the half.)
    pub collar: f64,
    /// Time in which the reference has several turns at once does not count.
    pub skip_overlap: bool,
}

/// The score of one recording or, added up, of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Seconds that the reference's speakers speak, all together.
    pub speech: f64,
    /// Seconds of speech found and given to the right speaker.
    pub correct: f64,
    /// Seconds of speech that were not found.
    pub missed: f64,
    /// Seconds found where nobody (more) speaks.
    pub false_alarm: f64,
    /// Seconds of speech given to the wrong speaker.
    pub confused: f64,
    /// Sum of the Jaccard errors of the reference's speakers, each from 0 to 1.
    pub jaccard_error: f64,
    /// Speakers of the reference.
    pub speakers: usize,
    /// Speakers found.
    pub speakers_found: usize,
    /// By how many the number of speakers is wrong, recording by recording.
    pub speaker_count_error: usize,
    /// Recordings scored.
    pub recordings: usize,
}

impl Score {
    /// Diarization error rate: missed, false and confused speech as a share of all speech. Where there
    /// is no speech it is 0 if none was found and 1 otherwise.
    pub fn diarization_error_rate(&self) -> f64 {
        rate(self.missed + self.false_alarm + self.confused, self.speech)
    }

    /// Jaccard error rate: the mean over the reference's speakers of the share of the time in which the
    /// speaker or the one found for the speaker speaks, but not both.
    pub fn jaccard_error_rate(&self) -> f64 {
        match self.speakers {
            0 => rate(self.speakers_found as f64, 0.0),
            speakers => self.jaccard_error / speakers as f64,
        }
    }
}

fn rate(errors: f64, all: f64) -> f64 {
    if all > 0.0 { errors / all } else { f64::from(u8::from(errors > 0.0)) }
}

impl AddAssign for Score {
    fn add_assign(&mut self, other: Self) {
        self.speech += other.speech;
        self.correct += other.correct;
        self.missed += other.missed;
        self.false_alarm += other.false_alarm;
        self.confused += other.confused;
        self.jaccard_error += other.jaccard_error;
        self.speakers += other.speakers;
        self.speakers_found += other.speakers_found;
        self.speaker_count_error += other.speaker_count_error;
        self.recordings += other.recordings;
    }
}

/// Score of a recording, and who was found for whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The score.
    pub score: Score,
    /// Speakers of the reference, each with the speaker found for it. Those who have nobody are left out.
    pub mapping: Vec<(String, String)>,
}

/// Compares the turns found with those of the reference, under the assignment of speakers to speakers
/// that makes most of the speech correct.
///
/// Only the `evaluated` spans (of a UEM file) count; all of the recording where they are `None`. A
/// speaker who is in two turns at once speaks twice, as for pyannote.
pub fn compare(reference: &[Turn], found: &[Turn], evaluated: Option<&[Span]>, rules: &Rules) -> Comparison {
    let (speakers, others) = (names(reference), names(found));
    let times = Sweep::over(reference, &speakers, found, &others, evaluated, rules);

    let assigned = best_assignment(times.together.view()).into_iter().enumerate();
    let pairs: Vec<(usize, usize)> = assigned
        .filter_map(|(speaker, other)| Some((speaker, other?)))
        .filter(|&(speaker, other)| times.together[[speaker, other]] > 0.0)
        .collect();
    let correct: f64 = pairs.iter().map(|&pair| times.correct[pair]).sum();
    let jaccard_index = |&(speaker, other): &(usize, usize)| {
        let both = times.both[[speaker, other]];
        both / (times.speaking[speaker] + times.found[other] - both)
    };
    let here = |times: &[f64]| times.iter().filter(|&&time| time > PRECISION).count();
    let (count, count_found) = (here(&times.speaking), here(&times.found));
    let score = Score {
        speech: times.speech,
        correct,
        missed: times.missed,
        false_alarm: times.false_alarm,
        confused: times.paired - correct,
        jaccard_error: count as f64 - pairs.iter().map(jaccard_index).sum::<f64>(),
        speakers: count,
        speakers_found: count_found,
        speaker_count_error: count.abs_diff(count_found),
        recordings: 1,
    };
    let name = |(speaker, other): (usize, usize)| (speakers[speaker].to_owned(), others[other].to_owned());
    Comparison { score, mapping: pairs.into_iter().map(name).collect() }
}

/// Spans that are not longer are none: `pyannote.core.segment.SEGMENT_PRECISION`.
const PRECISION: f64 = 1e-6;

/// The speakers of turns that are not empty, in alphabetical order.
fn names(turns: &[Turn]) -> Vec<&str> {
    let mut names: Vec<&str> =
        turns.iter().filter(|turn| !is_empty(turn)).map(|turn| turn.speaker.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn is_empty(turn: &Turn) -> bool {
    turn.end - turn.start <= PRECISION
}
