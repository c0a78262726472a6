//! Transcripts for reading: text by paragraph, and subtitles for transcripts that are not subtitles.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Segment, Span, align, cues::prefix};
use crate::output::{SHORTEST, clock, escaped};

/// Consecutive words of one speaker.
#[derive(Clone, Debug, Serialize)]
pub struct Passage<'a> {
    #[serde(flatten)]
    pub(crate) span: Span,
    pub(crate) text: String,
    pub(crate) speaker: Option<&'a str>,
    /// Where words start in the text, in UTF-16 code units as in a browser, and when they start, in seconds.
    pub(super) times: Vec<(usize, f64)>,
}

/// The text as one passage per speaker and segment.
pub(super) fn passages(segments: &[Segment]) -> impl Iterator<Item = Passage<'_>> {
    segments.iter().flat_map(align::passages).filter(|passage| !passage.text.is_empty())
}

/// The text as paragraphs. A new one starts whenever the speaker changes.
pub(super) fn paragraphs(segments: &[Segment]) -> Vec<Passage<'_>> {
    let mut paragraphs: Vec<Passage<'_>> = Vec::new();
    let mut units = 0; // the length of the last paragraph in UTF-16
    for passage in passages(segments) {
        let added = passage.text.encode_utf16().count();
        match paragraphs.last_mut() {
            Some(last) if last.speaker == passage.speaker => {
                last.span.end = passage.span.end;
                // whisper.cpp sometimes has a segment for a full stop.
                let is_mark = passage.text.chars().all(|letter| letter.is_ascii_punctuation());
                let blank = if is_mark { "" } else { " " };
                units += blank.len();
                last.times.extend(passage.times.iter().map(|(at, time)| (units + at, *time)));
                last.text += blank;
                last.text += &passage.text;
                units += added;
            }
            _ => {
                paragraphs.push(passage);
                units = added;
            }
        }
    }
    paragraphs
}

/// Paragraphs with their start times.
pub(super) fn txt(segments: &[Segment]) -> String {
    let paragraph = |Passage { span, text, speaker, .. }: &Passage<'_>| {
        let time = clock(span.start, '.');
        let time = time.split_once('.').map_or("", |(seconds, _)| seconds);
        let name = speaker.map(|speaker| format!("{speaker}: ")).unwrap_or_default();
        format!("[{time}] {name}{text}\n")
    };
    paragraphs(segments).iter().map(paragraph).collect::<Vec<_>>().join("\n")
}

/// Segments with their speakers, as JSON.
pub(super) fn json(segments: &[Segment]) -> serde_json::Result<String> {
    let segment = |Segment { span, text, speaker, .. }: &Segment| json!({ "start": span.start, "end": span.end, "text": text, "speaker": speaker });
    let segments: Vec<Value> = segments.iter().map(segment).collect();
    Ok(serde_json::to_string_pretty(&json!({ "segments": segments }))? + "\n")
}

/// Passages as `SubRip`.
pub(super) fn srt(segments: &[Segment]) -> String {
    let cue = |(index, passage): (usize, Passage<'_>)| {
        format!("{}\n{}", index + 1, cue(&passage, &passage.text, ',', false))
    };
    passages(segments).enumerate().map(cue).collect()
}

/// Passages as `WebVTT`.
pub(super) fn vtt(segments: &[Segment]) -> String {
    let cue = |passage: Passage<'_>| cue(&passage, &escaped(&passage.text), '.', true);
    "WEBVTT\n\n".to_owned() + &passages(segments).map(cue).collect::<String>()
}

/// Times and text. Players do not show cues that have no length.
fn cue(passage: &Passage<'_>, text: &str, point: char, vtt: bool) -> String {
    let Span { start, end } = passage.span;
    let (start, end) = (clock(start, point), clock(end.max(start + SHORTEST), point));
    let name = passage.speaker.map(|speaker| prefix(speaker, vtt)).unwrap_or_default();
    format!("{start} --> {end}\n{name}{text}\n\n")
}
