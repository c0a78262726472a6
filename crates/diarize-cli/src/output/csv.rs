//! Results for spreadsheets and data frames.
//!
//! Source: RFC 4180, with line ends of `\n`.

use std::borrow::Cow;

use diarize::Turn;

use super::{Place, Recording};

/// A heading, then one line a turn, times in seconds. Results that share a stream share the heading.
pub(super) fn render(recording: &Recording<'_>, turns: &[Turn], place: Place) -> String {
    let mut text = String::new();
    if place != Place::Next {
        text.push_str("file,start,end,duration,speaker\n");
    }
    let file = field(recording.file);
    for Turn { start, end, speaker } in turns {
        let (duration, speaker) = (end - start, field(speaker));
        text += &format!("{file},{start:.3},{end:.3},{duration:.3},{speaker}\n");
    }
    text
}

/// Text as a field, in quotes where it needs them.
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
