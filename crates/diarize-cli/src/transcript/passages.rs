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
    let cue = |(index, (passage, span)): (usize, (Passage<'_>, Span))| {
        format!("{}\n{}", index + 1, cue(&passage, span, &passage.text, ',', false))
    };
    shown(passages(segments)).enumerate().map(cue).collect()
}

/// Passages as `WebVTT`.
pub(super) fn vtt(segments: &[Segment]) -> String {
    let cue = |(passage, span): (Passage<'_>, Span)| cue(&passage, span, &escaped(&passage.text), '.', true);
    "WEBVTT\n\n".to_owned() + &shown(passages(segments)).map(cue).collect::<String>()
}

/// Passages, and when they are shown. Players do not show cues that have no length, so short ones last longer than they are
/// spoken, and the next one of the same speaker begins after them.
fn shown<'a>(passages: impl Iterator<Item = Passage<'a>>) -> impl Iterator<Item = (Passage<'a>, Span)> {
    let (mut last, mut speaking, mut until) = (f64::INFINITY, None, 0.0);
    passages.map(move |passage| {
        let Span { start, end } = passage.span;
        let follows = passage.speaker == speaking && start >= last;
        let begin = start.max(if follows { until } else { 0.0 });
        let shown = Span { start: begin, end: end.max(begin + SHORTEST) };
        (last, speaking, until) = (start, passage.speaker, if shown.end > end { shown.end } else { 0.0 });
        (passage, shown)
    })
}

/// Times and text.
fn cue(passage: &Passage<'_>, span: Span, text: &str, point: char, vtt: bool) -> String {
    let (start, end) = (clock(span.start, point), clock(span.end, point));
    let name = passage.speaker.map(|speaker| prefix(speaker, vtt)).unwrap_or_default();
    format!("{start} --> {end}\n{name}{text}\n\n")
}

#[cfg(test)]
mod tests {
    use super::{Passage, Span, shown};

    #[test]
    fn short_cues_are_shown_and_do_not_overlap_the_next_of_their_speaker() {
        let passage = |(start, end, speaker): (f64, f64, &'static str)| Passage {
            span: Span { start, end },
            text: String::new(),
            speaker: Some(speaker),
            times: Vec::new(),
        };
        let passages = [
            (-6.0, -5.0, "A"),
            (8.5, 8.5, "A"),
            (8.5, 8.75, "A"),
            (8.75, 9.0, "A"),
            (9.0, 9.0, "A"),
            (9.0, 10.0, "B"),
            (9.0, 12.0, "A"),
            (11.0, 13.0, "A"),
            (20.0, 20.0, "A"),
            (14.0, 15.0, "A"),
        ];
        let times = shown(passages.into_iter().map(passage)).map(|(_, span)| (span.start, span.end));
        let expected = [
            (0.0, 0.1),
            (8.5, 8.6),
            (8.6, 8.75),
            (8.75, 9.0),
            (9.0, 9.1),
            (9.0, 10.0),
            (9.0, 12.0),
            (11.0, 13.0),
            (20.0, 20.1),
            (14.0, 15.0),
        ];
        assert_eq!(times.collect::<Vec<_>>(), expected);
    }
}
