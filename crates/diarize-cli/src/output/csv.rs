//! Results for spreadsheets and data frames.
//!
//! Source: RFC 4180, but lines end with `\n`.

use std::borrow::Cow;

use diarize::{Span, Turn};

use super::{Format, Recording};
use crate::transcript::{Passage, Transcript};

/// A heading, unless `shared`, and one line per turn, or per passage of the transcript, with times in seconds.
pub(super) fn render(
    recording: &Recording<'_>,
    transcript: Option<&Transcript>,
    turns: &[Turn],
    shared: bool,
) -> String {
    let heading = if shared { "" } else { Format::Csv.heading(transcript.is_some()) };
    let file = field(recording.file);
    let row = |start: f64, end: f64, speaker: &str, last: &str| {
        let (duration, speaker) = (end - start, field(speaker));
        format!("{file},{start:.3},{end:.3},{duration:.3},{speaker},{last}\n")
    };
    let of_passage = |Passage { span: Span { start, end }, text, speaker, .. }: &Passage<'_>| {
        row(*start, *end, speaker.unwrap_or_default(), &field(text))
    };
    let of_turn = |Turn { start, end, speaker, confidence }: &Turn| {
        let confidence = confidence.map(|confidence| format!("{confidence:.3}")).unwrap_or_default();
        row(*start, *end, speaker, &confidence)
    };
    let rows: String = match transcript {
        Some(transcript) => transcript.passages().iter().map(of_passage).collect(),
        None => turns.iter().map(of_turn).collect(),
    };
    format!("{heading}{rows}")
}

/// Text as a field, quoted if necessary. Text that spreadsheets would take for a formula gets an apostrophe in front;
/// numbers stay numbers. Semicolons and tabs are quoted too, because some spreadsheets separate fields by them.
pub(crate) fn field(text: &str) -> Cow<'_, str> {
    let is_number = text.parse::<f64>().is_ok_and(f64::is_finite);
    let formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) && !is_number;
    let text: Cow<'_, str> = if formula { format!("'{text}").into() } else { text.into() };
    if text.contains([',', ';', '\t', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_with_separators_and_quotes_are_quoted() {
        assert_eq!(field("talk.wav"), "talk.wav");
        assert_eq!(field("talk, \"loud\".wav"), "\"talk, \"\"loud\"\".wav\"");
        assert_eq!(field("a;=1+1"), "\"a;=1+1\"");
        assert_eq!(field("a\t=1"), "\"a\t=1\"");
    }

    #[test]
    fn formulas_become_text_and_numbers_stay_numbers() {
        for (text, expected) in [
            ("=1+1", "'=1+1"),
            ("+Ann", "'+Ann"),
            ("-Ann", "'-Ann"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("＝1+1", "'＝1+1"),
            ("-inf", "'-inf"),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("=HYPERLINK(\"http://a\",\"b\")", "\"'=HYPERLINK(\"\"http://a\"\",\"\"b\"\")\""),
            ("-0.5", "-0.5"),
            ("+7", "+7"),
            ("Ann-Lee", "Ann-Lee"),
            ("", ""),
        ] {
            assert_eq!(field(text), expected);
        }
    }
}
