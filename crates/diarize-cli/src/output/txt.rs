//! Results for people.

use std::fmt::Write;

use super::{Recording, Style};

/// One line a turn, below a heading where several results share a stream.
pub(super) fn render(recording: &Recording<'_>, style: Style, shared: bool) -> String {
    let mut text = String::new();
    if shared {
        let _ = writeln!(text, "{}:", recording.file);
    }
    for turn in recording.turns(style) {
        let _ = writeln!(text, "{} - {}  {}", clock(turn.start), clock(turn.end), turn.speaker);
    }
    if shared {
        text.push('\n');
    }
    text
}

fn clock(seconds: f64) -> String {
    let milliseconds = (seconds * 1000.0).round() as u64;
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!("{:02}:{:02}:{seconds:02}.{milliseconds:03}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn times_carry_into_minutes_and_hours() {
        assert_eq!(clock(0.0), "00:00:00.000");
        assert_eq!(clock(62.345), "00:01:02.345");
        assert_eq!(clock(59.9996), "00:01:00.000");
        assert_eq!(clock(360_000.5), "100:00:00.500");
    }
}
