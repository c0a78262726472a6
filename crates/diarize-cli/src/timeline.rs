//! Draws turns in a terminal: one lane per speaker, fitted to the width.

use std::{collections::BTreeMap, fmt::Write, ops::Range};

use anyhow::bail;
use diarize::Turn;

/// Height of a cell by the fraction of its time that is spoken.
const HEIGHTS: [char; 9] = ['·', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Okabe and Ito's colors, in the 256-color palette of terminals.
const COLORS: [u8; 8] = [32, 214, 36, 175, 74, 166, 227, 246];

/// Possible distances between the marks of the ruler, in seconds.
const STEPS: [f64; 19] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0,
    14_400.0, 36_000.0,
];

/// Who spoke when in one recording, read from a file of results.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// The recording's name.
    pub name: String,
    /// Its length in seconds, or the end of its last turn.
    pub duration: f64,
    /// Its turns.
    pub turns: Vec<Turn>,
}

/// How to draw a timeline.
#[derive(Clone, Debug)]
pub struct Drawing {
    /// Width in columns.
    pub width: usize,
    /// Whether to use a color for each speaker.
    pub colors: bool,
    /// The range to draw, in seconds; it is clipped to the recording's end.
    pub seconds: Range<f64>,
}

impl Timeline {
    /// A recording that ends with its last turn.
    pub fn new(name: String, turns: Vec<Turn>) -> Self {
        let duration = turns.iter().map(|turn| turn.end).fold(0.0, f64::max);
        Self { name, duration, turns }
    }

    /// The timeline as lines of text.
    pub fn draw(&self, drawing: &Drawing) -> anyhow::Result<String> {
        let span = drawing.seconds.start..drawing.seconds.end.min(self.end());
        if span.start >= span.end && !self.turns.is_empty() {
            bail!("{} ends at {}", self.name, clock(self.end(), 1.0));
        }
        let speakers = self.speakers();
        let count = |count: usize, of: &str| format!("{count} {of}{}", if count == 1 { "" } else { "s" });
        let mut text = format!(
            "{}  {}  {}  {}\n",
            self.name,
            clock(self.duration, 1.0),
            count(speakers.len(), "speaker"),
            count(self.turns.len(), "turn")
        );
        if self.turns.is_empty() {
            return Ok(text);
        }
        let names = speakers.keys().map(|name| name.chars().count()).max().unwrap_or(0).clamp(7, 20);
        let sure = self.turns.iter().all(|turn| turn.confidence.is_some());
        let totals = if sure { "  00:00:00  100 %  100 % sure" } else { "  00:00:00  100 %" }.len();
        let cells = drawing.width.saturating_sub(names + 2 + totals).max(10);
        let _ = writeln!(text, "{:names$}  {}", "", ruler(&span, cells).trim_end());
        let length = self.end();
        for (index, (name, turns)) in speakers.iter().enumerate() {
            let total: f64 = turns.iter().map(|turn| turn.end - turn.start).sum();
            let (on, off) = if drawing.colors {
                (format!("\x1b[38;5;{}m", COLORS[index % COLORS.len()]), "\x1b[0m")
            } else {
                (String::new(), "")
            };
            let lane = lane(turns, &span, cells);
            let name = shortened(name, names);
            let share = 100.0 * total / length;
            let confidence = confidence(turns).filter(|_| sure);
            let confidence = confidence.map(|confidence| format!("  {:3.0} % sure", 100.0 * confidence));
            let _ = writeln!(
                text,
                "{on}{name:names$}  {lane}{off}  {:>8}  {share:3.0} %{}",
                clock(total, 1.0),
                confidence.unwrap_or_default()
            );
        }
        let overlaps = overlaps(&self.turns);
        if !overlaps.is_empty() {
            let total: f64 = overlaps.iter().map(|turn| turn.end - turn.start).sum();
            let lane = lane(&overlaps.iter().collect::<Vec<_>>(), &span, cells);
            let share = 100.0 * total / length;
            let _ = writeln!(text, "{:names$}  {lane}  {:>8}  {share:3.0} %", "overlap", clock(total, 1.0));
        }
        Ok(text)
    }

    /// The turns of each speaker, by name.
    fn speakers(&self) -> BTreeMap<&str, Vec<&Turn>> {
        let mut speakers: BTreeMap<&str, Vec<&Turn>> = BTreeMap::new();
        for turn in &self.turns {
            speakers.entry(&turn.speaker).or_default().push(turn);
        }
        speakers
    }

    fn end(&self) -> f64 {
        self.turns.iter().map(|turn| turn.end).fold(self.duration, f64::max)
    }
}

/// Mean confidence of turns, weighted by their lengths; `None` if a turn has no confidence.
fn confidence(turns: &[&Turn]) -> Option<f64> {
    let (mut sum, mut time) = (0.0, 0.0);
    for turn in turns {
        let seconds = turn.end - turn.start;
        (sum, time) = (sum + seconds * turn.confidence?, time + seconds);
    }
    (time > 0.0).then(|| sum / time)
}

/// One character per cell, which shows how much of its time is in turns.
fn lane(turns: &[&Turn], span: &Range<f64>, cells: usize) -> String {
    let width = (span.end - span.start) / cells as f64;
    let mut spoken = vec![0.0; cells];
    for turn in turns {
        let [first, last] = [turn.start, turn.end].map(|time| ((time - span.start) / width) as usize);
        for (cell, spoken) in spoken.iter_mut().enumerate().take(last.saturating_add(1)).skip(first) {
            let (start, end) = (span.start + cell as f64 * width, span.start + (cell + 1) as f64 * width);
            *spoken += (turn.end.min(end) - turn.start.max(start)).max(0.0);
        }
    }
    // Even a short turn is visible.
    let height =
        |spoken: f64| if spoken > 0.0 { ((8.0 * spoken / width).round() as usize).clamp(1, 8) } else { 0 };
    spoken.into_iter().map(|spoken| HEIGHTS[height(spoken)]).collect()
}

/// Times above the cells that they belong to.
fn ruler(span: &Range<f64>, cells: usize) -> String {
    let scale = cells as f64 / (span.end - span.start);
    let mut step = STEPS.into_iter().find(|step| step * scale >= 9.0).unwrap_or(STEPS[STEPS.len() - 1]);
    while step * scale < 9.0 {
        step *= 10.0;
    }
    let mut line = String::new();
    let first = (span.start / step).ceil();
    for at in (0..cells).map(|mark| (first + mark as f64) * step).take_while(|&at| at < span.end) {
        let column = ((at - span.start) * scale).round() as usize;
        let label = format!("╷{}", clock(at, step));
        if column >= line.chars().count() && column + label.chars().count() <= cells {
            line += &" ".repeat(column - line.chars().count());
            line += &label;
        }
    }
    line
}

/// Spans in which several people speak, in order.
fn overlaps(turns: &[Turn]) -> Vec<Turn> {
    let mut edges: Vec<(f64, i32)> =
        turns.iter().flat_map(|turn| [(turn.start, 1), (turn.end, -1)]).collect();
    edges.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let (mut overlaps, mut speaking, mut last) = (Vec::new(), 0, 0.0);
    for (at, change) in edges {
        if speaking > 1 && at > last {
            overlaps.push(Turn::new(last, at, ""));
        }
        speaking += change;
        last = at;
    }
    overlaps
}

/// A name without control characters, which could change the terminal, and of limited length.
fn shortened(name: &str, length: usize) -> String {
    let name = name.replace(char::is_control, " ");
    if name.chars().count() <= length {
        return name;
    }
    name.chars().take(length - 1).chain(['…']).collect()
}

/// Hours (if any), minutes, seconds, and tenths if the step is below a second.
fn clock(seconds: f64, step: f64) -> String {
    let tenths = (10.0 * seconds).round() as u64;
    let whole = if step < 1.0 { tenths / 10 } else { seconds.round() as u64 };
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    let mut text =
        if hours > 0 { format!("{hours}:{minutes:02}:{rest:02}") } else { format!("{minutes}:{rest:02}") };
    if step < 1.0 {
        let _ = write!(text, ".{}", tenths % 10);
    }
    text
}

#[cfg(test)]
mod tests {
    use diarize::Turn;

    use super::{Drawing, Timeline, ruler};

    fn talk() -> Timeline {
        let turns = [Turn::new(0.0, 10.0, "Ann"), Turn::new(8.0, 12.0, "Bob"), Turn::new(19.9, 20.0, "Bob")];
        Timeline::new("talk".to_owned(), turns.to_vec())
    }

    fn draw(width: usize, seconds: std::ops::Range<f64>) -> String {
        talk().draw(&Drawing { width, colors: false, seconds }).unwrap()
    }

    #[test]
    fn a_ruler_has_few_marks_however_long_the_recording_is() {
        assert!(ruler(&(0.0..1e12), 80).matches('╷').count() > 1);
        assert!(ruler(&(0.0..1e300), 80).chars().count() <= 80);
        assert!(ruler(&(1e18..1e18 + 1000.0), 80).chars().count() <= 80);
    }

    #[test]
    fn lanes_fill_the_width() {
        let expected = "\
talk  0:20  2 speakers  3 turns
         ╷0:00     ╷0:10
Ann      ██████████··········      0:10   50 %
Bob      ········████·······▁      0:04   21 %
overlap  ········██··········      0:02   10 %
";
        assert_eq!(draw(46, 0.0..f64::INFINITY), expected);
    }

    #[test]
    fn a_part_fills_the_width() {
        let text = draw(46, 8.0..13.0);
        let lanes: Vec<&str> = text
            .lines()
            .skip(2)
            .map(|line| line.split("  ").nth(if line.starts_with("overlap") { 1 } else { 3 }).unwrap())
            .collect();
        assert_eq!(lanes, ["████████············", "████████████████····", "████████············"]);
    }

    #[test]
    fn the_work_grows_with_the_turns_and_not_with_turns_times_cells() {
        let turns = (0..100_000).map(|at| Turn::new(f64::from(at), f64::from(at) + 0.5, "A"));
        let drawing = Drawing { width: 65_535, colors: false, seconds: 0.0..f64::INFINITY };
        let begin = std::time::Instant::now();
        let text = Timeline::new("a".to_owned(), turns.collect()).draw(&drawing).unwrap();
        assert_eq!((text.lines().last().unwrap().chars().count(), text.matches('·').count()), (65_535, 0));
        assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    }

    #[test]
    fn confidence_is_shown_if_every_turn_has_one() {
        let sure = |start, end, confidence| Turn { confidence, ..Turn::new(start, end, "S") };
        let draw = |first| {
            let turns = vec![sure(0.0, 1.0, first), sure(1.0, 4.0, Some(0.9))];
            let drawing = Drawing { width: 60, colors: false, seconds: 0.0..f64::INFINITY };
            Timeline::new("a".to_owned(), turns).draw(&drawing).unwrap()
        };
        let picture = draw(Some(0.5));
        let last = picture.lines().last().unwrap();
        assert!(last.ends_with("0:04  100 %   80 % sure"), "{picture}");
        assert_eq!(last.chars().count(), 60, "as wide as asked");
        assert!(!draw(None).contains("sure"));
    }

    #[test]
    fn a_recording_without_turns_has_only_a_heading() {
        let drawing = Drawing { width: 80, colors: true, seconds: 0.0..f64::INFINITY };
        let silent = Timeline { name: "b".to_owned(), duration: 3.0, turns: Vec::new() };
        assert_eq!(silent.draw(&drawing).unwrap(), "b  0:03  0 speakers  0 turns\n");
        assert!(talk().draw(&drawing).unwrap().contains("\x1b[38;5;32mAnn "));
    }
}
