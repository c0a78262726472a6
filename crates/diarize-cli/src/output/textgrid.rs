//! A `TextGrid` for Praat and ELAN, with an interval tier for each speaker. A transcript adds the text, and a tier for the
//! words of each speaker, which is named as the Montreal Forced Aligner names it: `Ann - words`.
//!
//! Source: Praat's manual, "TextGrid file formats".

use std::{collections::BTreeMap, fmt::Write};

use diarize::Turn;

use crate::transcript::{Passage, Transcript};

/// The shortest interval with text, in seconds: Praat accepts no empty interval.
const SHORTEST: f64 = 0.001;

/// The tiers, by speaker and whether they have words.
type Tiers = BTreeMap<(String, bool), Vec<Interval>>;

#[derive(Clone, Debug, PartialEq)]
struct Interval {
    start: f64,
    end: f64,
    text: String,
}

/// Pauses are intervals without text. Praat does not accept a `TextGrid` without tiers, so a recording without speech gets
/// one empty tier.
pub(super) fn render(duration: f64, turns: &[Turn], transcript: Option<&Transcript>) -> String {
    let mut tiers = match transcript {
        Some(transcript) => of_text(turns, transcript),
        None => of_turns(turns),
    };
    if tiers.is_empty() {
        tiers.insert(("nobody".to_owned(), false), Vec::new());
    }
    let end = tiers.values().flatten().map(|interval| interval.end).fold(duration, f64::max);
    let mut text = format!(
        "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0\nxmax = {end}\n\
         tiers? <exists>\nsize = {}\nitem []:\n",
        tiers.len()
    );
    for (index, ((speaker, has_words), intervals)) in tiers.iter().enumerate() {
        let name = quoted(&format!("{speaker}{}", if *has_words { " - words" } else { "" }));
        let intervals = with_pauses(intervals, end);
        let _ = write!(
            text,
            "    item [{}]:\n        class = \"IntervalTier\"\n        name = {name}\n        xmin = 0\n        \
             xmax = {end}\n        intervals: size = {}\n",
            index + 1,
            intervals.len()
        );
        for (index, Interval { start, end, text: label }) in intervals.iter().enumerate() {
            let _ = write!(
                text,
                "        intervals [{}]:\n            xmin = {start}\n            xmax = {end}\n            \
                 text = {}\n",
                index + 1,
                quoted(label)
            );
        }
    }
    text
}

/// A tier for each speaker, whose intervals are turns.
fn of_turns(turns: &[Turn]) -> Tiers {
    let mut tiers = Tiers::new();
    for Turn { start, end, speaker, .. } in turns {
        let tier = tiers.entry((speaker.clone(), false)).or_default();
        let start = start.max(tier.last().map_or(0.0, |last| last.end));
        if *end > start {
            tier.push(Interval { start, end: *end, text: speaker.clone() });
        }
    }
    tiers
}

/// A tier with the text of each speaker, and one with the words if their times are known.
fn of_text(turns: &[Turn], transcript: &Transcript) -> Tiers {
    // Also of speakers without text.
    let mut tiers: Tiers = turns.iter().map(|turn| ((turn.speaker.clone(), false), Vec::new())).collect();
    let words = transcript.has_word_times().then(|| transcript.word_by_word());
    for (transcript, has_words) in [(Some(transcript), false), (words.as_ref(), true)] {
        let mut passages = transcript.map(Transcript::passages).unwrap_or_default();
        passages.sort_by(|a, b| a.span.start.total_cmp(&b.span.start));
        for passage in &passages {
            let speaker = passage.speaker.unwrap_or("unknown").to_owned();
            add(tiers.entry((speaker, has_words)).or_default(), passage);
        }
    }
    tiers
}

/// Adds text to a tier. Intervals cannot overlap, so text without time of its own joins the text before it.
fn add(tier: &mut Vec<Interval>, Passage { span, text, .. }: &Passage<'_>) {
    let end = span.end.max(span.start + SHORTEST);
    match tier.last_mut() {
        Some(last) if end <= last.end => last.text += &format!(" {text}"),
        last => {
            let start = span.start.max(last.map_or(0.0, |last| last.end));
            tier.push(Interval { start, end, text: text.clone() });
        }
    }
}

/// The intervals with pauses between them, which cover 0 to `end` without gaps.
fn with_pauses(intervals: &[Interval], end: f64) -> Vec<Interval> {
    let mut all: Vec<Interval> = Vec::new();
    let pause =
        |from: f64, to: f64| (to > from).then(|| Interval { start: from, end: to, text: String::new() });
    let mut now = 0.0;
    for interval in intervals {
        all.extend(pause(now, interval.start));
        all.push(interval.clone());
        now = interval.end;
    }
    all.extend(pause(now, end));
    all
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::{Interval, Turn, of_turns, render, with_pauses};
    use crate::transcript::{Span, Transcript};

    fn interval(start: f64, end: f64, text: &str) -> Interval {
        Interval { start, end, text: text.to_owned() }
    }

    #[test]
    fn pauses_are_intervals_too() {
        let turns = [Turn::new(1.0, 2.0, "A"), Turn::new(2.0, 3.5, "A")];
        let tier = of_turns(&turns).into_values().next().unwrap();
        assert_eq!(
            with_pauses(&tier, 5.0),
            [
                interval(0.0, 1.0, ""),
                interval(1.0, 2.0, "A"),
                interval(2.0, 3.5, "A"),
                interval(3.5, 5.0, "")
            ]
        );
    }

    #[test]
    fn turns_that_end_after_the_audio_extend_the_grid() {
        let turns = [Turn::new(0.0, 2.25, "the \"boss\"")];
        let grid = render(2.0, &turns, None);
        assert!(grid.contains("xmax = 2.25\ntiers? <exists>\nsize = 1\n"), "{grid}");
        assert!(grid.contains("name = \"the \"\"boss\"\"\"\n"), "{grid}");
    }

    #[test]
    fn text_and_words_have_tiers_and_none_is_lost() {
        let words = [
            (" Good", 0.5, 0.9),
            (" day", 0.9, 0.9),
            (" to", 0.9, 0.9),
            (" you", 0.95, 1.4),
            (" Hi", 1.6, 1.6),
        ];
        let word = |(word, start, end): &(&str, f64, f64)| serde_json::json!({"word": word, "start": start, "end": end});
        let [first, second] =
            [&words[..4], &words[4..]].map(|words| words.iter().map(word).collect::<Vec<_>>());
        let segments = serde_json::json!({"segments": [
            {"start": 0.5, "end": 1.4, "text": " Good day to you", "words": first},
            {"start": 1.6, "end": 1.6, "text": " Hi", "words": second}]});
        let turns = [Turn::new(0.5, 1.45, "Ann"), Turn::new(1.5, 1.7, "Bob"), Turn::new(2.0, 3.0, "Zoë")];
        let whole = Span { start: 0.0, end: 3.0 };
        let transcript = Transcript::parse(&segments.to_string()).unwrap().with_speakers(&turns, whole);
        let grid = render(3.0, &turns, Some(&transcript));
        let lines =
            grid.lines().map(str::trim).filter(|line| line.starts_with("name") || line.starts_with("text"));
        let labels: Vec<&str> =
            lines.filter_map(|line| line.split_once(" = ")).map(|(_, label)| label).collect();
        let expected = [
            "\"Ann\" \"\" \"Good day to you\" \"\"",
            "\"Ann - words\" \"\" \"Good\" \"day to\" \"\" \"you\" \"\"",
            "\"Bob\" \"\" \"Hi\" \"\" \"Bob - words\" \"\" \"Hi\" \"\" \"Zoë\" \"\"",
        ];
        assert_eq!(labels.join(" "), expected.join(" "));
        assert!(grid.contains("xmin = 1.6\n            xmax = 1.601\n"), "{grid}");
    }
}
