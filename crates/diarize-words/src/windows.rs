//! Which parts of a recording to decode: its speech, cut at pauses and speaker changes.

use diarize::{SAMPLE_RATE, Span, Turn};

use crate::Segment;

/// What Whisper hears at once, in seconds.
const LONGEST: f64 = 30.0;
/// A longer pause, in seconds, is not decoded.
const PAUSE: f64 = 1.0;
/// Seconds around each turn that are decoded too: the boundaries of turns are not exact.
const MARGIN: f64 = 0.25;
/// Seconds before the first turn that are decoded too if nothing precedes them. Whisper is used to recordings that begin so.
const LEAD: f64 = 10.0;
/// Words that are farther from all turns, in seconds, are imagined.
const REACH: f64 = 1.0;
/// Without a pause, a window is cut in its last seconds.
const CUTTABLE: f64 = 12.0;
/// Samples in a step of the loudness: 50 ms.
const STEP: usize = 800;
/// Steps of the quiet part in which a window is cut if there is no speaker change.
const QUIET: usize = 6;

/// How loud a recording is from moment to moment. It finds the quiet moments of long turns.
#[derive(Clone, Debug, Default)]
pub struct Loudness {
    /// The energy of each step.
    energies: Vec<f32>,
    samples: usize,
}

impl Loudness {
    /// Appends samples at 16 kHz.
    pub fn push(&mut self, samples: &[f32]) {
        for &sample in samples {
            if self.samples.is_multiple_of(STEP) {
                self.energies.push(0.0);
            }
            if let Some(energy) = self.energies.last_mut() {
                *energy += sample * sample;
            }
            self.samples += 1;
        }
    }

    /// Length of the recording in seconds.
    pub fn seconds(&self) -> f64 {
        self.samples as f64 / f64::from(SAMPLE_RATE)
    }

    /// The middle of the quietest part between two times; the last of equally quiet ones.
    fn quietest(&self, from: f64, to: f64) -> f64 {
        let seconds = STEP as f64 / f64::from(SAMPLE_RATE);
        let [from, end] = [from, to].map(|time| ((time / seconds) as usize).min(self.energies.len()));
        let sums = self.energies[from..end].windows(QUIET).map(|part| part.iter().sum::<f32>());
        let best = sums.enumerate().reduce(|best, other| if other.1 <= best.1 { other } else { best });
        best.map_or(to, |(step, _)| (from + step + QUIET / 2) as f64 * seconds)
    }
}

/// Cuts a recording into windows of at most 30 s, in order and without overlap, that contain its turns and 0.25 s around each.
/// Pauses of more than 1 s between these lie outside. The first window begins with the recording if speech follows within 10 s
/// and both fit into 30 s. Where nobody pauses for 30 s, a window ends in its last 12 s: at a speaker change, or else in the
/// quietest moment.
///
/// `loudness` is that of the whole recording, and `turns` may overlap.
pub fn windows(loudness: &Loudness, turns: &[Turn]) -> Vec<Span> {
    let mut windows: Vec<Span> = Vec::new();
    for stretch in stretches(turns, loudness.seconds()) {
        for part in parts(loudness, turns, stretch) {
            match windows.last_mut() {
                Some(window) if part.start - window.end <= PAUSE && part.end - window.start <= LONGEST => {
                    window.end = part.end;
                }
                _ => windows.push(part),
            }
        }
    }
    if let Some(first) = windows.first_mut().filter(|first| first.start <= LEAD && first.end <= LONGEST) {
        first.start = 0.0;
    }
    windows
}

/// The time in which anybody speaks, with margins.
fn stretches(turns: &[Turn], end: f64) -> Vec<Span> {
    let padded = turns
        .iter()
        .map(|turn| Span { start: (turn.start - MARGIN).max(0.0), end: (turn.end + MARGIN).min(end) });
    let mut padded: Vec<Span> = padded.filter(|span| span.start < span.end).collect();
    padded.sort_by(|a, b| a.start.total_cmp(&b.start));
    let mut stretches: Vec<Span> = Vec::new();
    for span in padded {
        match stretches.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => stretches.push(span),
        }
    }
    stretches
}

/// Cuts a stretch into parts of at most 30 s.
fn parts(loudness: &Loudness, turns: &[Turn], stretch: Span) -> Vec<Span> {
    let mut parts = Vec::new();
    let Span { mut start, end } = stretch;
    while end - start > LONGEST {
        let earliest = start + LONGEST - CUTTABLE;
        let changes = turns.iter().map(|turn| turn.start);
        let change = changes.filter(|&at| (earliest..=start + LONGEST).contains(&at)).reduce(f64::max);
        let cut = change.unwrap_or_else(|| loudness.quietest(earliest, start + LONGEST));
        parts.push(Span { start, end: cut });
        start = cut;
    }
    parts.push(Span { start, end });
    parts
}

/// Leaves out words that were found more than 1 s away from all turns, and segments without other words: Whisper imagines text
/// in long pauses, music and noise. The times of segments and turns must count from the same moment.
pub fn without_imagined(mut segments: Vec<Segment>, turns: &[Turn]) -> Vec<Segment> {
    for segment in &mut segments {
        let count = segment.words.len();
        segment.words.retain(|word| {
            turns.iter().any(|turn| word.start <= turn.end + REACH && word.end >= turn.start - REACH)
        });
        if let (Some(first), Some(last)) = (segment.words.first(), segment.words.last())
            && segment.words.len() < count
        {
            (segment.start, segment.end) = (first.start, last.end);
            segment.text = segment.words.iter().map(|word| word.text.as_str()).collect();
        }
    }
    segments.retain(|segment| !segment.words.is_empty());
    segments
}

#[cfg(test)]
mod tests {
    use diarize::Turn;

    use super::without_imagined;
    use crate::{Segment, Word};

    fn segment(words: &[(f64, f64, &str)]) -> Segment {
        let word = |&(start, end, text): &(f64, f64, &str)| Word {
            start,
            end,
            text: text.to_owned(),
            probability: 1.0,
        };
        Segment {
            start: words[0].0,
            end: words[words.len() - 1].1,
            text: words.iter().map(|word| word.2).collect(),
            words: words.iter().map(word).collect(),
            log_probability: -0.1,
            no_speech: 0.0,
            temperature: 0.0,
            compression: 1.0,
        }
    }

    #[test]
    fn words_where_nobody_speaks_are_left_out() {
        let said = [(0.5, 0.9, " Thank"), (0.9, 1.2, " you."), (4.2, 4.8, " So"), (5.0, 5.4, " yes.")];
        let segments = vec![segment(&said), segment(&[(20.0, 21.0, " Thanks.")])];
        let found = without_imagined(segments.clone(), &[Turn::new(5.0, 9.0, "A")]);
        assert_eq!(found, [segment(&said[2..])]);
        assert_eq!(without_imagined(segments.clone(), &[Turn::new(1.0, 19.5, "A")]), segments);
        assert!(without_imagined(segments, &[]).is_empty());
    }
}
