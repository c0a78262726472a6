//! Which parts of a recording to decode: its speech, cut at pauses and speaker changes.

use diarize::{SAMPLE_RATE, Span, Turn};

/// What Whisper hears at once, in seconds.
const LONGEST: f64 = 30.0;
/// A longer pause, in seconds, is not decoded.
const PAUSE: f64 = 1.0;
/// Seconds around each turn that are decoded too: the boundaries of turns are not exact.
const MARGIN: f64 = 0.25;
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

/// Cuts a recording into windows of at most 30 s, in order and without overlap, that contain its turns. Long pauses lie
/// outside. A window ends at a pause; where nobody pauses for 30 s, at a speaker change or in the quietest moment.
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
