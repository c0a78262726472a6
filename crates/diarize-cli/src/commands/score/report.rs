//! Scores as a table, JSON or CSV.

use std::collections::BTreeMap;

use diarize::scoring::{Comparison, Rules, Score};
use serde::Serialize;
use serde_json::{Value, json};

use super::Format;
use crate::output::csv_field;

/// Scores of single recordings and of all recordings together.
pub(super) struct Report<'a> {
    pub(super) rules: Rules,
    pub(super) comparisons: &'a [(String, Comparison)],
    pub(super) total: Score,
}

impl Report<'_> {
    pub(super) fn render(&self, format: Format) -> anyhow::Result<String> {
        Ok(match format {
            Format::Table => self.table(),
            Format::Json => serde_json::to_string_pretty(&self.json())? + "\n",
            Format::Csv => self.csv(),
        })
    }

    /// The recordings, followed by the total.
    fn rows(&self) -> impl Iterator<Item = (&str, &Score)> {
        let recordings = self.comparisons.iter().map(|(name, comparison)| (name.as_str(), &comparison.score));
        recordings.chain([("TOTAL", &self.total)])
    }

    fn table(&self) -> String {
        let width = self.rows().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(9);
        let mut text = format!(
            "{:width$}  DER %   missed    false  confused   JER %  speakers  speech s\n",
            "recording"
        );
        for (name, score) in self.rows() {
            let percent = |seconds| 100.0 * share(seconds, score.speech);
            text += &format!(
                "{name:width$} {:6.2}   {:6.2}   {:6.2}    {:6.2}  {:6.2}  {:8}  {:8.1}\n",
                100.0 * score.diarization_error_rate(),
                percent(score.missed),
                percent(score.false_alarm),
                percent(score.confused),
                100.0 * score.jaccard_error_rate(),
                format!("{}/{}", score.speakers_found, score.speakers),
                score.speech,
            );
        }
        let side = self.rules.collar / 2.0;
        let collar = match self.rules.collar {
            0.0 => "no collar".to_owned(),
            collar => format!("collar {collar} s in total (pyannote), {side} s on each side (md-eval)"),
        };
        let overlap = if self.rules.skip_overlap { "overlap not scored" } else { "overlap scored" };
        text + &format!("{collar}; {overlap}; speakers: found/reference\n")
    }

    fn json(&self) -> Value {
        let entry = |(name, comparison): &(String, Comparison)| Entry {
            recording: name.clone(),
            numbers: Numbers::from(&comparison.score),
            mapping: comparison.mapping.iter().cloned().collect(),
        };
        json!({
            "collar_total_width": self.rules.collar,
            "collar_each_side": self.rules.collar / 2.0,
            "skip_overlap": self.rules.skip_overlap,
            "recordings": self.comparisons.iter().map(entry).collect::<Vec<_>>(),
            "total": Numbers::from(&self.total),
        })
    }

    fn csv(&self) -> String {
        let mut text = "recording,der,missed_rate,false_alarm_rate,confusion_rate,jer,speech,correct,missed,\
                        false_alarm,confused,speakers,speakers_found,speaker_count_error\n"
            .to_owned();
        for (name, score) in self.rows() {
            let share = |seconds| share(seconds, score.speech);
            text += &format!(
                "{},{:.6},{:.6},{:.6},{:.6},{:.6},{:.3},{:.3},{:.3},{:.3},{:.3},{},{},{}\n",
                csv_field(name),
                score.diarization_error_rate(),
                share(score.missed),
                share(score.false_alarm),
                share(score.confused),
                score.jaccard_error_rate(),
                score.speech,
                score.correct,
                score.missed,
                score.false_alarm,
                score.confused,
                score.speakers,
                score.speakers_found,
                score.speaker_count_error,
            );
        }
        text
    }
}

#[derive(Serialize)]
struct Entry {
    recording: String,
    #[serde(flatten)]
    numbers: Numbers,
    /// Speakers of the reference, each with its speaker in the results.
    mapping: BTreeMap<String, String>,
}

/// Rates, times in seconds, and counts.
#[derive(Serialize)]
struct Numbers {
    diarization_error_rate: f64,
    jaccard_error_rate: f64,
    speech: f64,
    correct: f64,
    missed: f64,
    false_alarm: f64,
    confused: f64,
    speakers: usize,
    speakers_found: usize,
    speaker_count_error: usize,
}

impl From<&Score> for Numbers {
    fn from(score: &Score) -> Self {
        Self {
            diarization_error_rate: score.diarization_error_rate(),
            jaccard_error_rate: score.jaccard_error_rate(),
            speech: score.speech,
            correct: score.correct,
            missed: score.missed,
            false_alarm: score.false_alarm,
            confused: score.confused,
            speakers: score.speakers,
            speakers_found: score.speakers_found,
            speaker_count_error: score.speaker_count_error,
        }
    }
}

/// A fraction of the speech; 0 if there is no speech.
fn share(seconds: f64, speech: f64) -> f64 {
    if speech > 0.0 { seconds / speech } else { 0.0 }
}
