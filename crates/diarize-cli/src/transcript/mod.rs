//! Transcripts from other programs, to which speakers are added.

mod align;
mod cues;
mod decode;
mod faults;
mod files;
mod json;
mod labels;
mod lines;
mod lists;
mod passages;
mod times;
mod whisper;

use std::{iter, path::Path};

use anyhow::{Context, bail};
use diarize::{Span, Turn, speakers_of_spans, speakers_of_words};

use self::{cues::Cues, faults::Faults, whisper::Whisper};
pub use self::{
    files::{Transcripts, in_directory},
    passages::Passage,
};
use crate::{output::Format, text};

/// A transcript: its original document, and its segments.
#[derive(Clone, Debug)]
pub struct Transcript {
    source: Source,
    segments: Vec<Segment>,
    /// Entries of lists beside the segments. They are given speakers too, but they are not part of the text.
    others: Vec<Word>,
    /// Whether speakers were assigned, so that old names are no longer valid.
    is_named: bool,
    warnings: Vec<String>,
}

#[derive(Clone, Debug)]
enum Source {
    Whisper(Whisper),
    Cues(Cues),
}

/// What was found in a document.
#[derive(Debug)]
struct Parsed {
    segments: Vec<Segment>,
    others: Vec<Word>,
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

#[derive(Clone, Debug, PartialEq)]
struct Word {
    span: Span,
    text: String,
    speaker: Option<String>,
}

impl Word {
    fn forget_speaker_outside(&mut self, diarized: Span) {
        if !touches(self.span, diarized) {
            self.speaker = None;
        }
    }
}

impl Transcript {
    /// Reads a file: JSON of the Whisper family, `SubRip` or `WebVTT`, in UTF-8, UTF-16 or Windows-1252.
    ///
    /// # Errors
    /// If the file cannot be read or is none of these. Faults in a part of it are repaired and become
    /// [`warnings`](Self::warnings).
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("transcript {}", path.display());
        let bytes = text::read_bytes(path).with_context(named)?;
        let (text, recoded) = decode::decode(&bytes);
        let mut transcript = Self::parse(&text).with_context(named)?;
        transcript.warnings.splice(0..0, recoded);
        for warning in &mut transcript.warnings {
            *warning = format!("{}: {warning}", named());
        }
        Ok(transcript)
    }

    /// Parses a file. Its first characters tell the format.
    ///
    /// # Errors
    /// As [`Transcript::read`].
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let mut faults = Faults::default();
        let json = text.trim_start_matches('\u{feff}');
        let (source, parsed, text) = if is_json(json) {
            let (whisper, parsed) = Whisper::parse(json, &mut faults)?;
            (Source::Whisper(whisper), parsed, json)
        } else if let Some((cues, parsed)) = Cues::parse(text, &mut faults) {
            (Source::Cues(cues), parsed, text)
        } else {
            let line = json.trim().lines().next().unwrap_or_default().chars();
            let line: String = line.filter(|letter| !letter.is_control()).take(60).collect();
            bail!(
                "not JSON, SRT or WebVTT: no line has times such as `00:01:02,500 --> 00:01:04,000`; the first line is \
                 `{line}`"
            );
        };
        let Parsed { segments, others } = parsed;
        Ok(Self { source, segments, others, is_named: false, warnings: faults.sentences(text).collect() })
    }

    /// What was wrong and how it was repaired: one sentence for each kind of fault, with the place of the first.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The default output format for a transcript file of this name.
    pub fn format_of_file(path: &Path) -> Format {
        match Format::of_file(path) {
            Some(format @ (Format::Json | Format::Srt | Format::Vtt)) => format,
            _ => Format::Txt,
        }
    }

    /// The transcript with the speaker of every word and every segment. Those outside `diarized`, the part of the
    /// recording that `turns` are from, have no speaker. `turns` must be in order and must not overlap.
    pub fn with_speakers(&self, turns: &[Turn], diarized: Span) -> Self {
        let mut named = self.clone();
        named.name_speakers(turns);
        named.is_named = !turns.is_empty();
        for segment in &mut named.segments {
            segment.words.iter_mut().for_each(|word| word.forget_speaker_outside(diarized));
            if !touches(segment.span, diarized) {
                segment.speaker = None;
            }
        }
        named.others.iter_mut().for_each(|other| other.forget_speaker_outside(diarized));
        named
    }

    /// Number of segments outside a part of the recording, and of all segments.
    pub fn count_outside(&self, diarized: Span) -> (usize, usize) {
        let outside = self.segments.iter().filter(|segment| !touches(segment.span, diarized)).count();
        (outside, self.segments.len())
    }

    fn name_speakers(&mut self, turns: &[Turn]) {
        let units = self.units();
        let spans: Vec<Span> = units.iter().map(|(span, _)| *span).collect();
        let speakers = speakers_of_words(&spans, turns);
        let mut of_words =
            iter::zip(speakers, &units).flat_map(|(speaker, (_, count))| iter::repeat_n(speaker, *count));
        for segment in &mut self.segments {
            for (word, speaker) in segment.words.iter_mut().zip(&mut of_words) {
                word.speaker = speaker.map(str::to_owned);
            }
        }
        let spans: Vec<Span> = self.segments.iter().map(|segment| segment.span).collect();
        for (segment, speaker) in self.segments.iter_mut().zip(speakers_of_spans(&spans, turns)) {
            segment.speaker = main_speaker(&segment.words).or(speaker).map(str::to_owned);
        }
        let spans: Vec<Span> = self.others.iter().map(|other| other.span).collect();
        for (other, speaker) in self.others.iter_mut().zip(speakers_of_spans(&spans, turns)) {
            other.speaker = speaker.map(str::to_owned);
        }
    }

    /// The times of what has one speaker, and the number of its words. Whisper writes `42,000` as ` 42` and `,000`: where words begin with a
    /// space, those without belong to the word before.
    fn units(&self) -> Vec<(Span, usize)> {
        let is_spaced = |word: &Word| word.text.starts_with(char::is_whitespace);
        let (all, spaced) =
            (words(&self.segments).count(), words(&self.segments).filter(|word| is_spaced(word)).count());
        let mut units: Vec<(Span, usize)> = Vec::new();
        for segment in &self.segments {
            for (index, word) in segment.words.iter().enumerate() {
                match units.last_mut() {
                    Some((span, count)) if index > 0 && 2 * spaced > all && !is_spaced(word) => {
                        span.end = span.end.max(word.span.end);
                        *count += 1;
                    }
                    _ => units.push((word.span, 1)),
                }
            }
        }
        units
    }

    /// The transcript with its speakers: in its own format, as subtitles or as text by paragraph. `None` for other
    /// formats.
    pub fn render(&self, format: Format) -> anyhow::Result<Option<String>> {
        Ok(Some(match (format, &self.source) {
            (Format::Json, Source::Whisper(whisper)) => {
                whisper.render(&self.segments, &self.others, self.is_named)
            }
            (Format::Json, Source::Cues(_)) => passages::json(&self.segments)?,
            (Format::Srt | Format::Vtt, Source::Cues(cues)) if cues.format() == format => {
                cues.render(&self.segments, self.is_named)
            }
            (Format::Srt, _) => passages::srt(&self.segments),
            (Format::Vtt, _) => passages::vtt(&self.segments),
            (Format::Txt, _) => passages::txt(&self.segments),
            _ => return Ok(None),
        }))
    }

    /// Whether the times of words are known, if there are any.
    pub fn has_word_times(&self) -> bool {
        self.segments.is_empty() || words(&self.segments).next().is_some()
    }

    /// The start and end of each word.
    pub fn word_times(&self) -> impl Iterator<Item = Span> {
        words(&self.segments).map(|word| word.span)
    }

    /// The transcript with each word as a segment of its own. A segment without words stays as it is.
    pub fn word_by_word(&self) -> Self {
        let of_word = |word: &Word| Segment {
            span: word.span,
            text: word.text.clone(),
            words: vec![word.clone()],
            speaker: word.speaker.clone(),
        };
        let segments = self.segments.iter().flat_map(|segment| match segment.words.as_slice() {
            [] => vec![segment.clone()],
            words => words.iter().map(of_word).collect(),
        });
        Self { segments: segments.collect(), ..self.clone() }
    }

    /// The text as one passage per speaker and segment.
    pub fn passages(&self) -> Vec<Passage<'_>> {
        passages::passages(&self.segments).collect()
    }

    /// The text as paragraphs. A new one starts whenever the speaker changes.
    pub fn paragraphs(&self) -> Vec<Passage<'_>> {
        passages::paragraphs(&self.segments)
    }
}

/// Whether a text begins like JSON, and not like a line with a time in brackets.
fn is_json(text: &str) -> bool {
    let text = text.trim_start();
    let is_list = |rest: &str| !rest.trim_start().starts_with(|letter: char| letter.is_ascii_digit());
    text.starts_with('{') || text.strip_prefix('[').is_some_and(is_list)
}

fn words(segments: &[Segment]) -> impl Iterator<Item = &Word> {
    segments.iter().flat_map(|segment| &segment.words)
}

/// Whether a part of a span is in another one.
fn touches(span: Span, other: Span) -> bool {
    span.start < other.end && span.end > other.start || span.start == span.end && span.start == other.start
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
