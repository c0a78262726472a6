//! Results as plain data of Python.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::PathBuf,
};

use diarize::{Diarization, Speaker, Turn};
use diarize_cli::{failure::library_sentence, output, text, warnings::SILENCE};
use pyo3::{prelude::*, types::PyBytes};

use crate::{failure::Failure, source::Heard};

/// Start and end in seconds, speaker and confidence.
pub type TurnTuple = (f64, f64, String, Option<f64>);

/// Label, seconds, confidence and embedding, which is the bytes of f32 `(dimension,)`.
type SpeakerTuple = (String, f64, Option<f64>, Option<Py<PyBytes>>);

/// Who spoke when in one recording.
#[derive(IntoPyObject)]
pub struct Found {
    turns: Vec<TurnTuple>,
    exclusive: Vec<TurnTuple>,
    speakers: Vec<SpeakerTuple>,
    /// Seconds.
    duration: f64,
    warnings: Vec<String>,
    /// Cosine similarity of each recognized speaker, by name.
    similarities: BTreeMap<String, f64>,
}

impl Found {
    /// The result for a recording.
    pub fn new(
        py: Python<'_>,
        diarization: Diarization,
        heard: Heard,
        similarities: BTreeMap<String, f64>,
    ) -> Self {
        let tuple = |Turn { start, end, speaker, confidence }: Turn| (start, end, speaker, confidence);
        let speaker = |Speaker { label, duration, confidence, embedding, .. }: Speaker| {
            (label, duration, confidence, embedding.map(|embedding| bytes(py, &embedding)))
        };
        let Diarization { turns, exclusive, speakers, warnings, .. } = diarization;
        let warnings = heard.warnings.into_iter().chain(warnings.iter().map(ToString::to_string)).collect();
        Self {
            turns: turns.into_iter().map(tuple).collect(),
            exclusive: exclusive.into_iter().map(tuple).collect(),
            speakers: speakers.into_iter().map(speaker).collect(),
            duration: heard.duration,
            warnings,
            similarities,
        }
    }

    /// The result once the recording is complete: if nobody speaks, it has the program's warning about that.
    pub fn complete(mut self) -> Self {
        if self.turns.is_empty() {
            self.warnings.push(SILENCE.to_owned());
        }
        self
    }
}

/// The bytes of f32 in the order of this machine.
pub fn bytes(py: Python<'_>, values: &[f32]) -> Py<PyBytes> {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    PyBytes::new(py, &bytes).unbind()
}

/// Turns of Python.
pub fn turns_of(turns: Vec<TurnTuple>) -> Vec<Turn> {
    let turn = |(start, end, speaker, confidence)| Turn { start, end, speaker, confidence };
    turns.into_iter().map(turn).collect()
}

/// Turns as RTTM. White space in names becomes `_`.
#[pyfunction]
pub fn rttm(name: &str, turns: Vec<TurnTuple>) -> PyResult<String> {
    let turns = output::with_words(&turns_of(turns));
    Ok(diarize::rttm(&output::uri(name), &turns).map_err(Failure::from)?)
}

/// The turns of each recording in an RTTM file.
#[pyfunction]
pub fn read_rttm(path: PathBuf) -> PyResult<Vec<(String, Vec<TurnTuple>)>> {
    let text = text::read(&path, "RTTM").map_err(|error| {
        let cause = error.downcast_ref::<io::Error>().map(io::Error::kind);
        let missing = cause == Some(ErrorKind::NotFound);
        let class = if missing { "RttmNotFoundError" } else { "FormatError" };
        Failure::Other(class, library_sentence(&error))
    })?;
    let wrong = |error| Failure::Other("FormatError", format!("{}: {error}", path.display()));
    let recordings = diarize::parse_rttm(&text).map_err(wrong)?;
    let tuple = |Turn { start, end, speaker, confidence }: Turn| (start, end, speaker, confidence);
    let tuples = |(name, turns): (String, Vec<Turn>)| (name, turns.into_iter().map(tuple).collect());
    Ok(recordings.into_iter().map(tuples).collect())
}

/// The seconds of each turn in which somebody else speaks too. The turns are sorted by start.
#[pyfunction]
pub fn overlaps(turns: Vec<TurnTuple>) -> Vec<f64> {
    output::overlaps(&turns_of(turns))
}
