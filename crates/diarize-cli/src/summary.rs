//! How results and durations are told in a line.

use std::time::Duration;

use crate::session::Done;

/// What was found in a recording: `2 speakers, 31 turns, 412 words`.
pub fn found(done: &Done) -> String {
    let turns = match done.turns {
        0 => "no turns".to_owned(),
        turns => format!("{}, {}", counted(done.speakers, "speaker"), counted(turns, "turn")),
    };
    let words = done.words.map(|words| format!(", {}", counted(words, "word")));
    turns + &words.unwrap_or_default()
}

/// `1 file`, `2 files`.
pub fn files(count: usize) -> String {
    counted(count, "file")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Below a minute, seconds with one decimal; otherwise minutes and seconds, with hours if there are any.
pub fn clock(seconds: f64) -> String {
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let seconds = Duration::from_secs_f64(seconds.round()).as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}
