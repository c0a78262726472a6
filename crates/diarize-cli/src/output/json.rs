//! Results for programs, as `schema/diarization.v1.schema.json` describes them.

use std::collections::BTreeMap;

use diarize::{Parameters, Turn};
use serde::Serialize;

use super::{Recording, Style, Timings};

/// Grows by one when a field disappears or changes its meaning; new fields leave it as it is.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    file: &'a str,
    uri: &'a str,
    duration: f64,
    model: &'a str,
    device: String,
    parameters: Asked<'a>,
    exclusive: bool,
    timings: &'a Timings,
    warnings: &'a [String],
    speakers: Vec<Speaker<'a>>,
    turns: Vec<Spoken<'a>>,
}

#[derive(Serialize)]
struct Asked<'a> {
    num_speakers: Option<usize>,
    min_speakers: Option<usize>,
    max_speakers: Option<usize>,
    #[serde(flatten)]
    pipeline: &'a Parameters,
}

#[derive(Serialize)]
struct Speaker<'a> {
    label: &'a str,
    /// Seconds of the turns below.
    duration: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
    /// Of those whose voices were recognized.
    #[serde(skip_serializing_if = "Option::is_none")]
    similarity: Option<f64>,
    /// Not there unless asked for; then `null` where none was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<Option<&'a [f32]>>,
}

#[derive(Serialize)]
struct Spoken<'a> {
    start: f64,
    end: f64,
    speaker: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
}

/// One object: on a line of its own where several share a stream, else indented.
pub(super) fn render(
    recording: &Recording<'_>,
    turns: &[Turn],
    shared: bool,
    style: Style,
) -> serde_json::Result<String> {
    let document = document(recording, turns, style);
    let text =
        if shared { serde_json::to_string(&document) } else { serde_json::to_string_pretty(&document) };
    text.map(|text| text + "\n")
}

/// What is written about a recording.
pub(super) fn document<'a>(recording: &'a Recording<'_>, turns: &'a [Turn], style: Style) -> impl Serialize {
    let options = recording.options;
    let mut durations: BTreeMap<&str, f64> = BTreeMap::new();
    for turn in turns {
        *durations.entry(&turn.speaker).or_default() += turn.end - turn.start;
    }
    Document {
        version: VERSION,
        file: recording.file,
        uri: recording.uri,
        duration: recording.duration,
        model: recording.model,
        device: recording.device.to_string(),
        parameters: Asked {
            num_speakers: options.num_speakers,
            min_speakers: options.min_speakers,
            max_speakers: options.max_speakers,
            pipeline: &options.parameters,
        },
        exclusive: style.exclusive,
        timings: &recording.timings,
        warnings: recording.warnings,
        speakers: recording
            .diarization
            .speakers
            .iter()
            .map(|speaker| Speaker {
                label: &speaker.label,
                duration: durations.get(speaker.label.as_str()).copied().unwrap_or(0.0),
                confidence: speaker.confidence.map(thousandths),
                similarity: recording.similarities.get(&speaker.label).copied(),
                embedding: style.embeddings.then_some(speaker.embedding.as_deref()),
            })
            .collect(),
        turns: turns
            .iter()
            .map(|turn| Spoken {
                start: turn.start,
                end: turn.end,
                speaker: &turn.speaker,
                confidence: turn.confidence.map(thousandths),
            })
            .collect(),
    }
}

/// More digits would be a pretence.
fn thousandths(confidence: f64) -> f64 {
    (1000.0 * confidence).round() / 1000.0
}
