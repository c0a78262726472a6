//! Accuracy of a diarization: the diarization error rate and its components, the Jaccard error rate, and
//! the number of speakers. Accuracy of a transcript: word errors, also with speakers.
//!
//! Results equal those of `pyannote.metrics` 3 (`DiarizationErrorRate`, `JaccardErrorRate`).
//!
//! Sources: `pyannote/metrics/diarization.py`, `identification.py`, `matcher.py` and `utils.py`; N. Ryant
//! et al., "Second DIHARD Challenge Evaluation Plan", 2019, for the Jaccard error rate.

mod sweep;
mod uem;
mod words;

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use self::sweep::Sweep;
pub use self::{
    uem::parse_uem,
    words::{WordScore, score_speakers_words, score_words},
};
use crate::{Span, Turn, math::best_assignment};

/// Which parts of a recording are excluded from scoring.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rules {
    /// Width in seconds of the unscored collar around each start and end of a reference turn: the total
    /// width, half on either side, as in pyannote. (`md-eval` takes the half width.)
    pub collar: f64,
    /// Do not score regions in which reference turns overlap.
    pub skip_overlap: bool,
}

/// The score of one recording, or the sum over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Seconds of reference speech, summed over speakers.
    pub speech: f64,
    /// Seconds of speech attributed to the right speaker.
    pub correct: f64,
    /// Seconds of missed speech.
    pub missed: f64,
    /// Seconds of false speech: speech found beyond what the reference has.
    pub false_alarm: f64,
    /// Seconds of speech attributed to the wrong speaker.
    pub confused: f64,
    /// Sum of the Jaccard errors of the reference speakers, each from 0 to 1.
    pub jaccard_error: f64,
    /// Number of reference speakers.
    pub speakers: usize,
    /// Number of speakers found.
    pub speakers_found: usize,
    /// Absolute error of the number of speakers, summed over recordings.
    pub speaker_count_error: usize,
    /// Number of recordings scored.
    pub recordings: usize,
}

impl Score {
    /// Diarization error rate: missed, false and confused speech as a fraction of all reference speech.
    /// Without reference speech it is 0 if no speech was found, otherwise 1.
    pub fn diarization_error_rate(&self) -> f64 {
        rate(self.missed + self.false_alarm + self.confused, self.speech)
    }

    /// Jaccard error rate: the mean Jaccard error of the reference speakers. A speaker's error is the
    /// fraction of the time covered by the speaker or the matching speaker found that is not covered by
    /// both.
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

/// The score of a recording, and the matching of speakers.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The score.
    pub score: Score,
    /// Pairs of a reference speaker and the matching speaker found. Unmatched speakers are omitted.
    pub mapping: Vec<(String, String)>,
}

/// Compares the turns found with the reference turns, under the one-to-one matching of speakers that
/// maximizes the correct speech.
///
/// Only the `evaluated` spans (from a UEM file) are scored; `None` for the whole recording. A speaker with
/// two simultaneous turns counts twice, as in pyannote.
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
        confused: (times.paired - correct).max(0.0), // rounding may give a tiny negative number
        jaccard_error: count as f64 - pairs.iter().map(jaccard_index).sum::<f64>(),
        speakers: count,
        speakers_found: count_found,
        speaker_count_error: count.abs_diff(count_found),
        recordings: 1,
    };
    let name = |(speaker, other): (usize, usize)| (speakers[speaker].to_owned(), others[other].to_owned());
    Comparison { score, mapping: pairs.into_iter().map(name).collect() }
}

/// Shorter or equal spans are considered empty: `pyannote.core.segment.SEGMENT_PRECISION`.
const PRECISION: f64 = 1e-6;

/// The speakers of non-empty turns, in alphabetical order.
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
