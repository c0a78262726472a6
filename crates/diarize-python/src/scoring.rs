//! Scores against a reference.

use std::collections::BTreeMap;

use diarize::{
    Span,
    scoring::{Rules, compare},
};
use pyo3::prelude::*;

use crate::results::{TurnTuple, turns_of};

/// The score of one recording.
#[derive(IntoPyObject)]
pub struct Scored {
    /// Seconds of reference speech.
    total: f64,
    /// Seconds.
    correct: f64,
    /// Seconds.
    missed_detection: f64,
    /// Seconds.
    false_alarm: f64,
    /// Seconds.
    confusion: f64,
    diarization_error_rate: f64,
    jaccard_error_rate: f64,
    /// The matching speaker found, by reference speaker.
    mapping: BTreeMap<String, String>,
}

/// Compares turns with a reference. `evaluated` are the spans to be scored, in seconds.
#[pyfunction]
#[pyo3(signature = (reference, hypothesis, evaluated, collar, skip_overlap))]
pub fn score(
    py: Python<'_>,
    reference: Vec<TurnTuple>,
    hypothesis: Vec<TurnTuple>,
    evaluated: Option<Vec<(f64, f64)>>,
    collar: f64,
    skip_overlap: bool,
) -> Scored {
    let evaluated: Option<Vec<Span>> =
        evaluated.map(|spans| spans.into_iter().map(|(start, end)| Span { start, end }).collect());
    let (reference, hypothesis) = (turns_of(reference), turns_of(hypothesis));
    let rules = Rules { collar, skip_overlap };
    let compared = py.detach(|| compare(&reference, &hypothesis, evaluated.as_deref(), &rules));
    let score = compared.score;
    Scored {
        total: score.speech,
        correct: score.correct,
        missed_detection: score.missed,
        false_alarm: score.false_alarm,
        confusion: score.confused,
        diarization_error_rate: score.diarization_error_rate(),
        jaccard_error_rate: score.jaccard_error_rate(),
        mapping: compared.mapping.into_iter().collect(),
    }
}
