//! A sweep over the starts and ends of two diarizations that sums how long each pair of speakers overlaps.

use ndarray::Array2;

use super::{Rules, is_empty};
use crate::{Span, Turn};

/// The kind of interval that starts or ends.
#[derive(Clone, Copy)]
enum Edge {
    Speaker(usize),
    Found(usize),
    Collar,
    Evaluated,
}

/// Scored times, in seconds.
pub(super) struct Sweep {
    /// Reference speech, summed over speakers.
    pub(super) speech: f64,
    pub(super) missed: f64,
    pub(super) false_alarm: f64,
    /// Reference speech coinciding with speech found, whether the speaker is right or wrong.
    pub(super) paired: f64,
    /// `(speaker,)`: speaking time of each reference speaker.
    pub(super) speaking: Vec<f64>,
    /// `(speaker found,)`: speaking time of each speaker found.
    pub(super) found: Vec<f64>,
    /// `(speaker, speaker found)`: time in which both speak.
    pub(super) both: Array2<f64>,
    /// The same, with time counted once per pair of turns: what the matching maximizes.
    pub(super) together: Array2<f64>,
    /// The same, with time counted for the smaller number of turns: correct speech if the two are matched.
    pub(super) correct: Array2<f64>,
}

impl Sweep {
    pub(super) fn over(
        reference: &[Turn],
        speakers: &[&str],
        found: &[Turn],
        others: &[&str],
        evaluated: Option<&[Span]>,
        rules: &Rules,
    ) -> Self {
        let edges = edges(reference, speakers, found, others, evaluated, rules);
        let shape = (speakers.len(), others.len());
        let mut times = Self {
            speech: 0.0,
            missed: 0.0,
            false_alarm: 0.0,
            paired: 0.0,
            speaking: vec![0.0; speakers.len()],
            found: vec![0.0; others.len()],
            both: Array2::zeros(shape),
            together: Array2::zeros(shape),
            correct: Array2::zeros(shape),
        };
        // Number of current turns of each speaker.
        let (mut said, mut heard) = (vec![0; speakers.len()], vec![0; others.len()]);
        let mut collars = 0;
        let mut windows = i32::from(evaluated.is_none());
        let mut now = f64::NEG_INFINITY;
        for (time, step, edge) in edges {
            let overlap = rules.skip_overlap && said.iter().sum::<i32>() > 1;
            if time > now && windows > 0 && collars == 0 && !overlap {
                times.add(time - now, &said, &heard);
            }
            now = time;
            match edge {
                Edge::Speaker(speaker) => said[speaker] += step,
                Edge::Found(other) => heard[other] += step,
                Edge::Collar => collars += step,
                Edge::Evaluated => windows += step,
            }
        }
        times
    }

    /// Adds a span in which each speaker has the given number of turns.
    fn add(&mut self, seconds: f64, said: &[i32], heard: &[i32]) {
        let active = |counts: &[i32]| -> Vec<(usize, f64)> {
            let counts = counts.iter().enumerate().filter(|&(_, &count)| count > 0);
            counts.map(|(index, &count)| (index, f64::from(count))).collect()
        };
        let (said, heard) = (active(said), active(heard));
        let sum = |active: &[(usize, f64)]| active.iter().map(|(_, count)| count).sum::<f64>();
        let (many, few) = (sum(&said), sum(&heard));
        // Before the first edge there are no turns, and the span is infinite.
        if many + few == 0.0 {
            return;
        }
        self.speech += many * seconds;
        self.missed += (many - few).max(0.0) * seconds;
        self.false_alarm += (few - many).max(0.0) * seconds;
        self.paired += many.min(few) * seconds;
        said.iter().for_each(|&(speaker, _)| self.speaking[speaker] += seconds);
        heard.iter().for_each(|&(other, _)| self.found[other] += seconds);
        for &(speaker, count) in &said {
            for &(other, count_found) in &heard {
                self.both[[speaker, other]] += seconds;
                self.together[[speaker, other]] += count * count_found * seconds;
                self.correct[[speaker, other]] += count.min(count_found) * seconds;
            }
        }
    }
}

/// All starts (+1) and ends (-1), sorted by time.
fn edges(
    reference: &[Turn],
    speakers: &[&str],
    found: &[Turn],
    others: &[&str],
    evaluated: Option<&[Span]>,
    rules: &Rules,
) -> Vec<(f64, i32, Edge)> {
    let mut edges = Vec::new();
    let mut span = |start, end, edge| edges.extend([(start, 1, edge), (end, -1, edge)]);
    let index = |names: &[&str], turn: &Turn| {
        names.binary_search(&turn.speaker.as_str()).expect("the names were taken from the turns")
    };
    for turn in reference.iter().filter(|turn| !is_empty(turn)) {
        span(turn.start, turn.end, Edge::Speaker(index(speakers, turn)));
        if rules.collar > 0.0 {
            let side = rules.collar / 2.0;
            span(turn.start - side, turn.start + side, Edge::Collar);
            span(turn.end - side, turn.end + side, Edge::Collar);
        }
    }
    for turn in found.iter().filter(|turn| !is_empty(turn)) {
        span(turn.start, turn.end, Edge::Found(index(others, turn)));
    }
    for window in evaluated.unwrap_or_default() {
        span(window.start, window.end, Edge::Evaluated);
    }
    edges.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
    edges
}
