//! The lines of a text, and changes to it that leave everything else as it was.

use std::ops::Range;

/// A line of a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// Its bytes, without the line end.
    pub(super) range: Range<usize>,
    /// Where its line end ends.
    pub(super) end: usize,
}

/// The lines of a text. They end with `\n`, `\r\n` or `\r`.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let terminator = match &rest.as_bytes()[length..] {
            [b'\r', b'\n', ..] => 2,
            [] => 0,
            _ => 1,
        };
        let line = Line { range: at..at + length, end: at + length + terminator };
        at = line.end;
        Some(line)
    })
}

/// New text for a range of bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Edit {
    pub(super) range: Range<usize>,
    pub(super) text: String,
}

/// The text with its edits, which must not overlap.
pub(super) fn edited(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.range.start);
    let mut result =
        String::with_capacity(text.len() + edits.iter().map(|edit| edit.text.len()).sum::<usize>());
    let mut at = 0;
    for Edit { range, text: new } in edits {
        result += &text[at..range.start];
        result += &new;
        at = range.end;
    }
    result += &text[at..];
    result
}
