//! Results as JSON; `schema/diarization.v1.schema.json` describes the format.

use std::collections::BTreeMap;

use diarize::{Parameters, Turn};
use serde::Serialize;

use super::{Recording, Style, Timings};

/// Increased when a field is removed or changes its meaning, but not when a field is added.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    file: &'a str,
    uri: &'a str,
    duration: f64,
    audio: Audio<'a>,
    model: &'a str,
    device: String,
    precision: String,
    parameters: Requested<'a>,
    exclusive: bool,
    timings: &'a Timings,
    warnings: &'a [String],
    speakers: Vec<Speaker<'a>>,
    turns: Vec<Spoken<'a>>,
}

#[derive(Serialize)]
struct Audio<'a> {
    channels: &'a str,
    clock: &'static str,
    start_offset: f64,
    start: f64,
}

#[derive(Serialize)]
struct Requested<'a> {
    num_speakers: Option<usize>,
    min_speakers: Option<usize>,
    max_speakers: Option<usize>,
    #[serde(flatten)]
    pipeline: &'a Parameters,
}

#[derive(Serialize)]
struct Speaker<'a> {
    label: &'a str,
    /// Total length in seconds of the turns below.
    duration: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f64>,
    /// Cosine similarity with the known voice; only for recognized speakers.
    #[serde(skip_serializing_if = "Option::is_none")]
    similarity: Option<f64>,
    /// Left out unless requested; `null` if requested but not computed.
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

/// One object: on a single line if several share a stream, otherwise indented.
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

/// A transcript's JSON on one line, where the recording's file comes first. A list has no place for the file.
pub(super) fn on_one_line(file: &str, text: &str) -> serde_json::Result<String> {
    let line = compact(text);
    Ok(match line.strip_prefix('{') {
        Some(rest) => format!("{{\"file\":{},{rest}\n", serde_json::to_string(file)?),
        None => line + "\n",
    })
}

/// Removes the white space between values of JSON, and changes nothing else, such as the digits of numbers.
fn compact(text: &str) -> String {
    let (mut is_string, mut is_escaped) = (false, false);
    let is_kept = |letter: &char| {
        match letter {
            _ if is_escaped => is_escaped = false,
            '"' => is_string = !is_string,
            '\\' => is_escaped = true,
            _ => {}
        }
        is_string || !matches!(letter, ' ' | '\t' | '\n' | '\r')
    };
    text.chars().filter(is_kept).collect()
}

/// The JSON document of a recording.
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
        audio: Audio {
            channels: recording.channels,
            clock: recording.clock.name(),
            start_offset: recording.start_offset,
            start: recording.source.start(),
        },
        model: recording.model,
        device: recording.device.to_string(),
        precision: recording.precision.to_string(),
        parameters: Requested {
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
                confidence: speaker_confidence(&speaker.label, turns).map(thousandths),
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

/// The mean confidence of a speaker's turns, weighted by duration.
fn speaker_confidence(label: &str, turns: &[Turn]) -> Option<f64> {
    let (mut sum, mut time) = (0.0, 0.0);
    for turn in turns.iter().filter(|turn| turn.speaker == label) {
        sum += (turn.end - turn.start) * turn.confidence?;
        time += turn.end - turn.start;
    }
    (time > 0.0).then(|| sum / time)
}

/// Rounded to thousandths: an estimate has no more meaningful digits.
fn thousandths(confidence: f64) -> f64 {
    (1000.0 * confidence).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::on_one_line;

    #[test]
    fn only_white_space_between_values_disappears() {
        let text = "{\n\t\"a b\": [1.50, NaN],\r\n  \"c\": \"d \\\" : e\\\\\" , \"f\": {} }\n";
        let expected = "{\"file\":\"x y\",\"a b\":[1.50,NaN],\"c\":\"d \\\" : e\\\\\",\"f\":{}}\n";
        assert_eq!(on_one_line("x y", text).unwrap(), expected);
        assert_eq!(on_one_line("x", "[1, 2]").unwrap(), "[1,2]\n");
    }
}
