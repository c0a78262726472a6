//! Results for spreadsheets and data frames.
//!
//! Source: RFC 4180, but lines end with `\n`.

use std::borrow::Cow;

use diarize::Turn;

use super::{Format, Recording};

/// A heading, unless `shared`, and one line per turn, with times in seconds.
pub(super) fn render(recording: &Recording<'_>, turns: &[Turn], shared: bool) -> String {
    let heading = if shared { "" } else { Format::Csv.heading() };
    let mut text = heading.to_owned();
    let file = field(recording.file);
    for Turn { start, end, speaker, confidence } in turns {
        let (duration, speaker) = (end - start, field(speaker));
        let confidence = confidence.map(|confidence| format!("{confidence:.3}")).unwrap_or_default();
        text += &format!("{file},{start:.3},{end:.3},{duration:.3},{speaker},{confidence}\n");
    }
    text
}

/// Text as a field, quoted if necessary.
pub(crate) fn field(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\"")).into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_with_commas_and_quotes_are_quoted() {
        assert_eq!(field("talk.wav"), "talk.wav");
        assert_eq!(field("talk, \"loud\".wav"), "\"talk, \"\"loud\"\".wav\"");
    }
}
