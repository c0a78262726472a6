//! Results as readable text.

use std::fmt::Write;

use diarize::Turn;

use super::{Recording, clock::clock};

/// One line per turn, with a heading if several results share a stream.
pub(super) fn render(recording: &Recording<'_>, turns: &[Turn], shared: bool) -> String {
    let mut text = String::new();
    if shared {
        let _ = writeln!(text, "{}:", recording.file);
    }
    for turn in turns {
        let _ = writeln!(text, "{} - {}  {}", clock(turn.start, '.'), clock(turn.end, '.'), turn.speaker);
    }
    if shared {
        text.push('\n');
    }
    text
}
