//! Which parts of a recording go into which file.

use std::collections::HashSet;

use diarize::{Span, Turn};

/// Characters of a name that are kept; file systems allow 255 bytes.
const LONGEST_NAME: usize = 60;

/// A file to write.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// Its name without extension.
    pub(super) name: String,
    /// The parts of the recording in it, in order.
    pub(super) spans: Vec<Span>,
}

/// A file for each speaker, or with `each_turn` for each turn. Unless `overlap`, parts in which several people speak are
/// left out. Files may have no parts.
pub(super) fn plan(turns: &[Turn], each_turn: bool, overlap: bool) -> Vec<Plan> {
    let turns = merged(turns);
    let mut taken = HashSet::new();
    let mut plans: Vec<(&str, Plan)> = Vec::new();
    for turn in &turns {
        let spans = match overlap {
            true => vec![Span { start: turn.start, end: turn.end }],
            false => alone(turn, &turns),
        };
        let known = plans.iter_mut().find(|(speaker, _)| !each_turn && *speaker == turn.speaker);
        if let Some((_, plan)) = known {
            plan.spans.extend(spans);
            continue;
        }
        let speaker = file_name(&turn.speaker);
        let name = if each_turn { format!("{}-{speaker}", clock(turn.start)) } else { speaker };
        plans.push((&turn.speaker, Plan { name: unique(name, &mut taken), spans }));
    }
    plans.into_iter().map(|(_, plan)| plan).collect()
}

/// The turns sorted by start; those of one speaker do not overlap.
fn merged(turns: &[Turn]) -> Vec<Turn> {
    let mut sorted = turns.to_vec();
    sorted.sort_by(|a, b| a.speaker.cmp(&b.speaker).then(a.start.total_cmp(&b.start)));
    let mut merged: Vec<Turn> = Vec::new();
    for turn in sorted {
        match merged.last_mut() {
            Some(last) if last.speaker == turn.speaker && turn.start <= last.end => {
                last.end = last.end.max(turn.end);
            }
            _ => merged.push(turn),
        }
    }
    merged.sort_by(|a, b| a.start.total_cmp(&b.start));
    merged
}

/// The parts of a turn in which nobody else speaks. `turns` are sorted by start.
fn alone(turn: &Turn, turns: &[Turn]) -> Vec<Span> {
    let (mut parts, mut start) = (Vec::new(), turn.start);
    let others = turns.iter().take_while(|other| other.start < turn.end);
    for other in others.filter(|other| other.speaker != turn.speaker && other.end > turn.start) {
        if other.start > start {
            parts.push(Span { start, end: other.start });
        }
        start = start.max(other.end);
    }
    if start < turn.end {
        parts.push(Span { start, end: turn.end });
    }
    parts
}

/// A speaker's name as that of a file on any system.
fn file_name(speaker: &str) -> String {
    let is_unsafe = |c: char| c.is_control() || r#"/\:*?"<>|"#.contains(c);
    let name: String =
        speaker.chars().take(LONGEST_NAME).map(|c| if is_unsafe(c) { '_' } else { c }).collect();
    // Names that begin with a period are hidden, and some systems drop periods and spaces at the end.
    let name = name.trim_matches(|c: char| c == '.' || c.is_whitespace());
    if name.is_empty() { "_".to_owned() } else { name.to_owned() }
}

/// The name, with a number if another file has it. Some file systems ignore case.
fn unique(name: String, taken: &mut HashSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| taken.insert(name.to_lowercase())).expect("there are infinitely many names")
}

/// A time whose text sorts as the time does.
fn clock(seconds: f64) -> String {
    let milliseconds = (1000.0 * seconds).round() as u64;
    let (whole, rest) = (milliseconds / 1000, milliseconds % 1000);
    format!("{:02}-{:02}-{:02}.{rest:03}", whole / 3600, whole / 60 % 60, whole % 60)
}

#[cfg(test)]
mod tests {
    use diarize::{Span, Turn};

    use super::{Plan, file_name, plan};

    fn turns() -> Vec<Turn> {
        vec![Turn::new(0.0, 4.0, "Ann"), Turn::new(3.0, 3.5, "Bob"), Turn::new(6.0, 8.0, "Bob")]
    }

    fn expected(plans: &[(&str, &[[f64; 2]])]) -> Vec<Plan> {
        let span = |&[start, end]: &[f64; 2]| Span { start, end };
        let plan = |(name, spans): &(&str, &[[f64; 2]])| Plan {
            name: (*name).to_owned(),
            spans: spans.iter().map(span).collect(),
        };
        plans.iter().map(plan).collect()
    }

    #[test]
    fn overlaps_are_left_out_unless_they_are_wanted() {
        let without = expected(&[("Ann", &[[0.0, 3.0], [3.5, 4.0]]), ("Bob", &[[6.0, 8.0]])]);
        assert_eq!(plan(&turns(), false, false), without);
        let with = expected(&[("Ann", &[[0.0, 4.0]]), ("Bob", &[[3.0, 3.5], [6.0, 8.0]])]);
        assert_eq!(plan(&turns(), false, true), with);
    }

    #[test]
    fn names_of_turns_sort_by_time() {
        let turns = [Turn::new(4000.25, 4001.0, "Ann"), Turn::new(59.9996, 61.0, "Bob")];
        let names: Vec<String> = plan(&turns, true, false).into_iter().map(|plan| plan.name).collect();
        assert_eq!(names, ["00-01-00.000-Bob", "01-06-40.250-Ann"]);
        assert_eq!(plan(&super::tests::turns(), true, false)[1].spans, [], "Bob is never alone in that turn");
    }

    #[test]
    fn turns_of_one_speaker_that_overlap_are_one() {
        let turns = [Turn::new(0.0, 2.0, "Ann"), Turn::new(1.0, 3.0, "Ann")];
        assert_eq!(plan(&turns, false, false), expected(&[("Ann", &[[0.0, 3.0]])]));
    }

    #[test]
    fn names_are_safe_and_different() {
        let names = ["../Ann", "a/b", "a\\b", "A_B", "..", "", "é 1", "CON?"];
        let turns: Vec<Turn> =
            (0..).map(f64::from).zip(names).map(|(at, name)| Turn::new(at, at + 1.0, name)).collect();
        let files: Vec<String> = plan(&turns, false, false).into_iter().map(|plan| plan.name).collect();
        assert_eq!(files, ["_Ann", "a_b", "a_b-2", "A_B-3", "_", "_-2", "é 1", "CON_"]);
        assert_eq!(file_name(&"x".repeat(500)).len(), 60);
    }
}
