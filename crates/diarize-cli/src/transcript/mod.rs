//! Transcripts that others made, and who says each of their words.

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

/// A transcript: its file as it was read, and what is said in it.
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
    /// Its words, where their times are known.
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

/// What one speaker says without another's word between.
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

    /// Reads the text of a file, whose first letters say what it is.
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
            bail!("something at {} s ends before it begins", span.start);
        }
        Ok(Self { source, segments })
    }

    /// The format that a transcript of this name is written in, unless another is asked for.
    pub fn format_of_file(path: &Path) -> Format {
        match Format::of_file(path) {
            Some(format @ (Format::Json | Format::Srt | Format::Vtt)) => format,
            _ => Format::Txt,
        }
    }

    /// The transcript with the speaker of every word and every segment. `turns` are of one speaker at a
    /// time, in order.
    pub fn spoken_by(&self, turns: &[Turn]) -> Self {
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
            segment.speaker = most_of(&segment.words).or(speaker).map(str::to_owned);
        }
    }

    /// The transcript with its speakers: in its own format, as subtitles or as text by paragraph. `None`
    /// for formats that hold no text.
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

    /// What is said, a passage for each speaker of each segment; `joined` also across segments.
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

    /// A paragraph whenever another speaks.
    pub fn paragraphs(&self) -> Vec<Passage<'_>> {
        self.passages(true)
    }

    /// For reading: paragraphs with the time when they begin.
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

/// The speaker of most of the time of some words; the first of them where several are equal.
fn most_of(words: &[Word]) -> Option<&str> {
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

/// A segment's passages: one, or one for each run of words of a speaker.
fn pieces(segment: &Segment) -> Vec<Passage<'_>> {
    let first = segment.words.first().and_then(|word| word.speaker.as_deref());
    if segment.words.iter().all(|word| word.speaker.as_deref() == first) {
        let speaker = first.or(segment.speaker.as_deref());
        return vec![Passage { span: segment.span, text: segment.text.trim().to_owned(), speaker }];
    }
    let together: String = segment.words.iter().map(|word| word.text.as_str()).collect();
    // Whisper's words bring their blanks; those of WhisperX do not.
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
