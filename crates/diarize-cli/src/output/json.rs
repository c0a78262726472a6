//! Results for programs.

use diarize::Parameters;
use serde::Serialize;

use super::{Recording, Style};

#[derive(Serialize)]
struct Document<'a> {
    file: &'a str,
    uri: &'a str,
    duration: f64,
    model: &'a str,
    parameters: Asked<'a>,
    speakers: Vec<Speaker<'a>>,
    turns: Vec<Turn<'a>>,
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
    duration: f64,
    /// Not there unless asked for; then `null` where none was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<Option<&'a [f32]>>,
}

#[derive(Serialize)]
struct Turn<'a> {
    start: f64,
    end: f64,
    speaker: &'a str,
}

/// One object: on a line of its own where several share a stream, else indented.
pub(super) fn render(recording: &Recording<'_>, style: Style, shared: bool) -> serde_json::Result<String> {
    let options = recording.options;
    let document = Document {
        file: recording.file,
        uri: recording.uri,
        duration: recording.duration,
        model: recording.model,
        parameters: Asked {
            num_speakers: options.num_speakers,
            min_speakers: options.min_speakers,
            max_speakers: options.max_speakers,
            pipeline: &options.parameters,
        },
        speakers: recording
            .diarization
            .speakers
            .iter()
            .map(|speaker| Speaker {
                label: &speaker.label,
                duration: speaker.duration,
                embedding: style.embeddings.then_some(speaker.embedding.as_deref()),
            })
            .collect(),
        turns: recording
            .turns(style)
            .iter()
            .map(|turn| Turn { start: turn.start, end: turn.end, speaker: &turn.speaker })
            .collect(),
    };
    let text =
        if shared { serde_json::to_string(&document) } else { serde_json::to_string_pretty(&document) };
    text.map(|text| text + "\n")
}
