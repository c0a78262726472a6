//! Transcripts from other programs, to which speakers are added.

mod attribution;
mod cues;
mod files;
mod whisper;

use std::{iter, path::Path};

use anyhow::{Context, bail};
use diarize::Turn;
use serde::Serialize;
use serde_json::json;

pub use self::{
    attribution::{Span, attribute},
    files::{Transcripts, in_directory},
};
use self::{cues::Cues, whisper::Whisper};
use crate::output::{Format, clock};

/// A transcript: its original document, and its segments.
#[derive(Clone, Debug)]
pub struct Transcript {
    source: Source,
    segments: Vec<Segment>,
}

#[derive(Clone, Debug)]
enum Source {
    Whisper(Whisper),
    Cues(Cues),
}

/// A sentence, a line or a subtitle.
#[derive(Clone, Debug, PartialEq)]
struct Segment {
    span: Span,
    text: String,
    /// Its words, if their times are known.
    words: Vec<Word>,
    speaker: Option<String>,
}

impl Segment {
    /// Its own span and those of its words.
    fn spans(&self) -> impl Iterator<Item = Span> {
        iter::once(self.span).chain(self.words.iter().map(|word| word.span))
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Word {
    span: Span,
    text: String,
    speaker: Option<String>,
}

/// Consecutive words of one speaker.
#[derive(Clone, Debug, Serialize)]
pub struct Passage<'a> {
    #[serde(flatten)]
    span: Span,
    text: String,
    speaker: Option<&'a str>,
}

impl Transcript {
    /// Reads a file: JSON of the Whisper family, `SubRip` or `WebVTT`.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("transcript {}", path.display());
        let text = std::fs::read_to_string(path).with_context(named)?;
        Self::parse(&text).with_context(named)
    }

    /// Parses the text of a file. Its first characters tell the format.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let text = text.trim_start_matches('\u{feff}');
        let (source, segments) = if text.trim_start().starts_with(['{', '[']) {
            let (whisper, segments) = Whisper::parse(text)?;
            (Source::Whisper(whisper), segments)
        } else {
            let (cues, segments) = Cues::parse(text)?;
            (Source::Cues(cues), segments)
        };
        let spans: Vec<Span> = segments.iter().flat_map(Segment::spans).collect();
        if let Some(span) = spans.iter().find(|span| span.start > span.end) {
            bail!("a segment or word at {} s ends before it starts", span.start);
        }
        Ok(Self { source, segments })
    }

    /// The default output format for a transcript file of this name.
    pub fn format_of_file(path: &Path) -> Format {
        match Format::of_file(path) {
            Some(format @ (Format::Json | Format::Srt | Format::Vtt)) => format,
            _ => Format::Txt,
        }
    }

    /// The transcript with the speaker of every word and every segment. `turns` must be in order and must not
    /// overlap.
    pub fn with_speakers(&self, turns: &[Turn]) -> Self {
        let mut named = self.clone();
        named.name_speakers(turns);
        named
    }

    fn name_speakers(&mut self, turns: &[Turn]) {
        let spans: Vec<Span> = words(&self.segments).map(|word| word.span).collect();
        let mut speakers = attribute(&spans, turns, true).into_iter();
        for segment in &mut self.segments {
            for (word, speaker) in segment.words.iter_mut().zip(&mut speakers) {
                word.speaker = speaker.map(str::to_owned);
            }
        }
        let spans: Vec<Span> = self.segments.iter().map(|segment| segment.span).collect();
        for (segment, speaker) in self.segments.iter_mut().zip(attribute(&spans, turns, false)) {
            segment.speaker = main_speaker(&segment.words).or(speaker).map(str::to_owned);
        }
    }

    /// The transcript with its speakers: in its own format, as subtitles or as text by paragraph. `None` for
    /// formats without text.
    pub fn render(&self, format: Format) -> anyhow::Result<Option<String>> {
        Ok(Some(match (format, &self.source) {
            (Format::Json, Source::Whisper(whisper)) => whisper.render(&self.segments)?,
            (Format::Json, Source::Cues(_)) => self.as_json()?,
            (Format::Srt | Format::Vtt, Source::Cues(cues)) if cues.format() == format => {
                cues.render(&self.segments)
            }
            (Format::Srt, _) => cues::srt(&self.passages(false)),
            (Format::Vtt, _) => cues::vtt(&self.passages(false)),
            (Format::Txt, _) => self.as_text(),
            _ => return Ok(None),
        }))
    }

    fn as_json(&self) -> serde_json::Result<String> {
        let segment = |Segment { span, text, speaker, .. }: &Segment| json!({ "start": span.start, "end": span.end, "text": text, "speaker": speaker });
        let segments: Vec<_> = self.segments.iter().map(segment).collect();
        Ok(serde_json::to_string_pretty(&json!({ "segments": segments }))? + "\n")
    }

    /// The text as one passage per speaker and segment; with `joined`, passages continue across segments.
    fn passages(&self, joined: bool) -> Vec<Passage<'_>> {
        let mut passages: Vec<Passage<'_>> = Vec::new();
        for segment in &self.segments {
            let pieces = pieces(segment);
            for (index, piece) in pieces.into_iter().enumerate() {
                match passages.last_mut() {
                    Some(last) if joined && last.speaker == piece.speaker => {
                        last.span.end = piece.span.end;
                        last.text = format!("{} {}", last.text, piece.text).trim().to_owned();
                    }
                    _ if piece.text.is_empty() && index > 0 => {}
                    _ => passages.push(piece),
                }
            }
        }
        passages.retain(|passage| !passage.text.is_empty());
        passages
    }

    /// The text as paragraphs. A new one starts whenever the speaker changes.
    pub fn paragraphs(&self) -> Vec<Passage<'_>> {
        self.passages(true)
    }

    /// Readable text: paragraphs with their start times.
    fn as_text(&self) -> String {
        let paragraphs: Vec<String> = self
            .paragraphs()
            .iter()
            .map(|passage| {
                let time = clock(passage.span.start, '.');
                let time = time.split_once('.').map_or("", |(seconds, _)| seconds);
                match passage.speaker {
                    Some(speaker) => format!("[{time}] {speaker}: {}\n", passage.text),
                    None => format!("[{time}] {}\n", passage.text),
                }
            })
            .collect();
        paragraphs.join("\n")
    }
}

fn words(segments: &[Segment]) -> impl Iterator<Item = &Word> {
    segments.iter().flat_map(|segment| &segment.words)
}

/// The speaker with the most time in some words. Ties go to the speaker who comes first.
fn main_speaker(words: &[Word]) -> Option<&str> {
    let mut times: Vec<(&str, f64)> = Vec::new();
    for word in words {
        let Some(speaker) = word.speaker.as_deref() else { continue };
        let time = word.span.end - word.span.start;
        match times.iter_mut().find(|(known, _)| *known == speaker) {
            Some((_, sum)) => *sum += time,
            None => times.push((speaker, time)),
        }
    }
    let longest = times.iter().map(|(_, time)| *time).fold(f64::NEG_INFINITY, f64::max);
    times.into_iter().find(|(_, time)| *time >= longest).map(|(speaker, _)| speaker)
}

/// A segment's passages, one for each run of words by one speaker.
fn pieces(segment: &Segment) -> Vec<Passage<'_>> {
    let first = segment.words.first().and_then(|word| word.speaker.as_deref());
    if segment.words.iter().all(|word| word.speaker.as_deref() == first) {
        let speaker = first.or(segment.speaker.as_deref());
        return vec![Passage { span: segment.span, text: segment.text.trim().to_owned(), speaker }];
    }
    let together: String = segment.words.iter().map(|word| word.text.as_str()).collect();
    // Whisper's words include their spaces; those of WhisperX do not.
    let blank = if together.trim() == segment.text.trim() { "" } else { " " };
    segment
        .words
        .chunk_by(|a, b| a.speaker == b.speaker)
        .map(|run| {
            let texts: Vec<&str> = run.iter().map(|word| word.text.as_str()).collect();
            Passage {
                span: Span { start: run[0].span.start, end: run[run.len() - 1].span.end },
                text: texts.join(blank).trim().to_owned(),
                speaker: run[0].speaker.as_deref(),
            }
        })
        .collect()
}
