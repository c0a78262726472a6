//! A `TextGrid` for Praat and ELAN, with an interval tier for each speaker. A transcript adds the text, and a tier for the
//! words of each speaker, which is named as the Montreal Forced Aligner names it: `Ann - words`.
//!
//! Source: Praat's manual, "TextGrid file formats".

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use diarize::Turn;

use crate::transcript::{Passage, Transcript};

/// The shortest interval with text, in seconds: Praat accepts no empty interval.
const SHORTEST: f64 = 0.001;

/// The tiers, by speaker, if known, and whether they have words.
type Tiers = BTreeMap<(Option<String>, bool), Vec<Interval>>;

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
        tiers.insert((Some("nobody".to_owned()), false), Vec::new());
    }
    let end = tiers.values().flatten().map(|interval| interval.end).fold(duration, f64::max);
    let mut text = format!(
        "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0\nxmax = {end}\n\
         tiers? <exists>\nsize = {}\nitem []:\n",
        tiers.len()
    );
    for (index, (name, intervals)) in names(&tiers).iter().zip(tiers.values()).enumerate() {
        let name = quoted(name);
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

/// The names of the tiers. Speakers keep theirs; another tier that would have the same name gets a number.
fn names(tiers: &Tiers) -> Vec<String> {
    let is_speaker = |(speaker, has_words): &(Option<String>, bool)| speaker.is_some() && !has_words;
    let speakers = tiers.keys().filter(|tier| is_speaker(tier));
    let mut taken: BTreeSet<String> = speakers.filter_map(|(speaker, _)| speaker.clone()).collect();
    let mut names = Vec::new();
    for tier in tiers.keys() {
        let (speaker, has_words) = tier;
        let words = if *has_words { " - words" } else { "" };
        let name = format!("{}{words}", speaker.as_deref().unwrap_or("unknown"));
        let mut distinct = name.clone();
        for number in 2.. {
            if is_speaker(tier) || taken.insert(distinct.clone()) {
                break;
            }
            distinct = format!("{name}_{number}");
        }
        names.push(distinct);
    }
    names
}

/// A tier for each speaker, whose intervals are turns.
fn of_turns(turns: &[Turn]) -> Tiers {
    let mut tiers = Tiers::new();
    for Turn { start, end, speaker, .. } in turns {
        let tier = tiers.entry((Some(speaker.clone()), false)).or_default();
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
    let mut tiers: Tiers =
        turns.iter().map(|turn| ((Some(turn.speaker.clone()), false), Vec::new())).collect();
    let words = transcript.has_word_times().then(|| transcript.word_by_word());
    for (transcript, has_words) in [(Some(transcript), false), (words.as_ref(), true)] {
        let mut passages = transcript.map(Transcript::passages).unwrap_or_default();
        passages.sort_by(|a, b| a.span.start.total_cmp(&b.span.start));
        for passage in &passages {
            let speaker = passage.speaker.map(str::to_owned);
            add(tiers.entry((speaker, has_words)).or_default(), passage);
        }
    }
    tiers
}

/// Adds text to a tier. Intervals cannot overlap, so text without time of its own joins the text before it.
fn add(tier: &mut Vec<Interval>, Passage { span, text, .. }: &Passage<'_>) {
    let end = span.end.max(span.start.max(0.0) + SHORTEST);
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
    use diarize::Span;

    use super::{Interval, Turn, of_turns, render, with_pauses};
    use crate::transcript::Transcript;

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

    #[test]
    fn text_before_time_0_is_at_time_0() {
        let segments = serde_json::json!({"segments": [
            {"start": -6, "end": -5, "text": "Early"}, {"start": -2, "end": 1, "text": "late"}]});
        let transcript = Transcript::parse(&segments.to_string()).unwrap();
        let grid = render(1.0, &[], Some(&transcript));
        let intervals =
            grid.split("intervals [").skip(1).map(|interval| interval[4..].replace(['\n', ' '], ""));
        assert_eq!(
            intervals.collect::<Vec<_>>(),
            ["xmin=0xmax=0.001text=\"Early\"", "xmin=0.001xmax=1text=\"late\""]
        );
    }

    #[test]
    fn tiers_have_different_names_whatever_speakers_are_called() {
        let segment = |start: f64| {
            serde_json::json!({"start": start, "end": start + 0.5, "text": "Hi", "words": [
                {"word": "Hi", "start": start, "end": start + 0.5}]})
        };
        let segments = serde_json::json!({"segments": [segment(0.5), segment(1.5), segment(9.0)]});
        let turns =
            [Turn::new(0.0, 1.0, "Ann"), Turn::new(1.0, 2.0, "unknown"), Turn::new(2.0, 3.0, "Ann - words")];
        let whole = Span { start: 0.0, end: 3.0 };
        let transcript = Transcript::parse(&segments.to_string()).unwrap().with_speakers(&turns, whole);
        let grid = render(3.0, &turns, Some(&transcript));
        let mut names: Vec<&str> =
            grid.lines().filter_map(|line| line.trim().strip_prefix("name = ")).collect();
        names.sort_unstable();
        let expected = [
            "\"Ann - words\"",
            "\"Ann - words_2\"",
            "\"Ann\"",
            "\"unknown - words\"",
            "\"unknown - words_2\"",
            "\"unknown\"",
            "\"unknown_2\"",
        ];
        assert_eq!(names, expected);
    }
}
