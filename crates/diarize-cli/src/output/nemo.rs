//! A manifest for NVIDIA NeMo.
//!
//! Source: NeMo user guide, "Speaker recognition: datasets": one JSON object per line with the path of the recording,
//! offset and duration in seconds, and the speaker as the label.

use diarize::Turn;
use serde::Serialize;

use super::Recording;

#[derive(Serialize)]
struct Line<'a> {
    audio_filepath: &'a str,
    offset: f64,
    duration: f64,
    label: &'a str,
    /// NeMo's mark of an unknown text.
    text: &'static str,
}

/// One line per turn, with times in seconds.
pub(super) fn render(recording: &Recording<'_>, turns: &[Turn]) -> anyhow::Result<String> {
    let mut text = String::new();
    for Turn { start, end, speaker, .. } in turns {
        let line = Line {
            audio_filepath: recording.file,
            offset: milliseconds(*start),
            duration: milliseconds(end - start),
            label: speaker,
            text: "-",
        };
        text += &serde_json::to_string(&line)?;
        text.push('\n');
    }
    Ok(text)
}

/// Seconds, rounded to milliseconds.
fn milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
