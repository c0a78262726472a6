//! A `TextGrid` for Praat and ELAN, with an interval tier for each speaker.
//!
//! Source: Praat's manual, "TextGrid file formats".

use std::{collections::BTreeMap, fmt::Write};

use diarize::Turn;

/// One tier per speaker; pauses are intervals without text. Praat does not accept a `TextGrid` without tiers,
/// so a recording without speech gets one empty tier.
pub(super) fn render(duration: f64, turns: &[Turn]) -> String {
    let end = turns.iter().map(|turn| turn.end).fold(duration, f64::max);
    let mut tiers: BTreeMap<&str, Vec<&Turn>> = BTreeMap::new();
    for turn in turns {
        tiers.entry(&turn.speaker).or_default().push(turn);
    }
    if tiers.is_empty() {
        tiers.insert("nobody", Vec::new());
    }
    let mut text = format!(
        "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0\nxmax = {end}\n\
         tiers? <exists>\nsize = {}\nitem []:\n",
        tiers.len()
    );
    for (index, (speaker, turns)) in tiers.iter().enumerate() {
        let speaker = quoted(speaker);
        let intervals = intervals(turns, end);
        let _ = write!(
            text,
            "    item [{}]:\n        class = \"IntervalTier\"\n        name = {speaker}\n        xmin = 0\n        \
             xmax = {end}\n        intervals: size = {}\n",
            index + 1,
            intervals.len()
        );
        for (index, (start, end, speaks)) in intervals.iter().enumerate() {
            let label = if *speaks { speaker.as_str() } else { "\"\"" };
            let _ = write!(
                text,
                "        intervals [{}]:\n            xmin = {start}\n            xmax = {end}\n            \
                 text = {label}\n",
                index + 1
            );
        }
    }
    text
}

/// Start, end and whether the speaker speaks. The intervals cover 0 to `end` without gaps.
fn intervals(turns: &[&Turn], end: f64) -> Vec<(f64, f64, bool)> {
    let mut intervals = Vec::new();
    let mut now = 0.0;
    for turn in turns {
        let start = turn.start.max(now);
        if start > now {
            intervals.push((now, start, false));
        }
        if turn.end > start {
            intervals.push((start, turn.end, true));
            now = turn.end;
        }
    }
    if now < end {
        intervals.push((now, end, false));
    }
    intervals
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::{Turn, intervals, render};

    #[test]
    fn pauses_are_intervals_too() {
        let turn = |start, end| Turn::new(start, end, "A");
        assert_eq!(
            intervals(&[&turn(1.0, 2.0), &turn(2.0, 3.5)], 5.0),
            [(0.0, 1.0, false), (1.0, 2.0, true), (2.0, 3.5, true), (3.5, 5.0, false)]
        );
    }

    #[test]
    fn turns_that_end_after_the_audio_extend_the_grid() {
        let turns = [Turn::new(0.0, 2.25, "the \"boss\"")];
        let grid = render(2.0, &turns);
        assert!(grid.contains("xmax = 2.25\ntiers? <exists>\nsize = 1\n"), "{grid}");
        assert!(grid.contains("name = \"the \"\"boss\"\"\"\n"), "{grid}");
    }
}
