//! Warnings about results, except those of audio and diarization.

use std::collections::BTreeSet;

use diarize::{Diarization, Span, Turn};

use crate::{
    output::{self, Format, Output},
    transcript::Transcript,
    wordless,
};

/// The warning about a recording without turns, whose result would otherwise be an empty output.
pub const SILENCE: &str = "nobody speaks";

/// What a result is written from.
pub struct Written<'a> {
    /// The recording's name.
    pub name: &'a str,
    /// Where its results go.
    pub outputs: &'a [Output],
    /// Its transcript.
    pub transcript: Option<&'a Transcript>,
    /// Whether the words of the transcript were found in the audio.
    pub is_recognized: bool,
    /// The part of the recording that was diarized.
    pub diarized: Span,
    /// Its diarization.
    pub diarization: &'a Diarization,
    /// The turns that results contain.
    pub turns: &'a [Turn],
}

impl Written<'_> {
    /// The warnings about it.
    pub fn warnings(&self) -> Vec<String> {
        let Self { name, outputs, transcript, is_recognized, diarized, diarization, turns } = *self;
        let mut warnings = transcript.map_or(Vec::new(), |transcript| transcript.warnings().to_vec());
        let (outside, lines) = transcript.map_or((0, 1), |transcript| transcript.count_outside(diarized));
        if lines == 0 {
            warnings.extend(without_text(is_recognized, diarization.turns.is_empty()).map(str::to_owned));
        } else if outside > 0 {
            let Span { start, end } = diarized;
            warnings.push(format!(
                "{outside} of {lines} lines of the transcript have no speaker: they are not between {start:.1} s and \
                 {end:.1} s, the part of the recording that was diarized"
            ));
        }
        if let Some(transcript) = transcript.filter(|_| is_recognized && lines > 0) {
            warnings.extend(wordless::warning(&diarization.turns, transcript.word_times()));
        }
        let uri = output::uri(name);
        let has_uri = |format: Format| format.has_words() || matches!(format, Format::Json | Format::Html);
        if uri != name && outputs.iter().any(|output| has_uri(output.format)) {
            warnings.push(format!("named `{uri}` in the result, because RTTM allows no white space"));
        }
        let (found, written) = (diarization.speakers.len(), speakers(turns).len());
        if written < found {
            warnings.push(format!(
                "--exclusive leaves {written} of {found} speakers: the others only speak while somebody else does"
            ));
        }
        if diarization.turns.is_empty() {
            warnings.push(SILENCE.to_owned());
        }
        if outputs.iter().any(|output| output.format.has_words()) {
            warnings.extend(renamed(turns));
        }
        warnings
    }
}

/// The speakers of some turns.
pub fn speakers(turns: &[Turn]) -> BTreeSet<&str> {
    turns.iter().map(|turn| turn.speaker.as_str()).collect()
}

/// Warnings about speakers whose names without white space are those of others.
fn renamed(turns: &[Turn]) -> Vec<String> {
    let words = output::words(turns);
    let renamed = words.iter().filter(|&(name, word)| *word != output::uri(name));
    let warning = |(name, word): (&&str, &String)| {
        format!(
            "`{name}` is called `{word}` in RTTM and STM, because another speaker is called `{}`",
            output::uri(name)
        )
    };
    renamed.map(warning).collect()
}

/// The warning about a transcript without text. If nobody speaks, its own warning is enough.
fn without_text(is_recognized: bool, is_silent: bool) -> Option<&'static str> {
    match (is_recognized, is_silent) {
        (true, true) => None,
        (true, false) => Some("no words were found where somebody seems to speak: it may be music or noise"),
        (false, _) => Some("the transcript contains no text"),
    }
}
