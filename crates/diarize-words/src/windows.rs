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

#[cfg(test)]
mod tests {
    use diarize::{Span, Turn};

    use super::{Loudness, windows};

    const RATE: usize = 16_000;

    fn spans(turns: &[(f64, f64, &str)], samples: &[f32]) -> Vec<[f64; 2]> {
        let turns: Vec<Turn> = turns.iter().map(|&(start, end, who)| Turn::new(start, end, who)).collect();
        let mut loudness = Loudness::default();
        loudness.push(samples);
        windows(&loudness, &turns).into_iter().map(|Span { start, end }| [start, end]).collect()
    }

    #[test]
    fn pauses_are_left_out_and_short_ones_joined() {
        let samples = vec![0.1; 60 * RATE];
        let turns = [(1.0, 4.0, "A"), (4.5, 9.0, "B"), (20.0, 59.9, "A")];
        let found = spans(&turns, &samples);
        assert_eq!(found[0], [0.75, 9.25]);
        assert_eq!(found[1][0], 19.75);
        assert_eq!(found.last().unwrap()[1], 60.0);
        assert!(spans(&[], &samples).is_empty());
    }

    #[test]
    fn a_long_stretch_is_cut_where_the_speaker_changes() {
        let samples = vec![0.1; 60 * RATE];
        let turns = [(0.0, 12.0, "A"), (12.0, 21.0, "B"), (21.0, 25.0, "C"), (25.0, 40.0, "A")];
        assert_eq!(spans(&turns, &samples), [[0.0, 25.0], [25.0, 40.25]]);
    }

    #[test]
    fn a_long_turn_is_cut_in_its_quietest_moment() {
        let mut samples = vec![0.1; 50 * RATE];
        samples[22 * RATE..22 * RATE + RATE / 2].fill(0.0);
        let found = spans(&[(0.0, 50.0, "A")], &samples);
        assert_eq!(found.len(), 2);
        assert!((found[0][1] - 22.25).abs() < 0.11, "{found:?}");
        assert_eq!(found[1], [found[0][1], 50.0]);
    }

    #[test]
    fn no_window_is_longer_than_30_s_and_all_speech_is_covered() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..50 {
            let samples: Vec<f32> = (0..200 * RATE / 10).map(|_| random.f32() - 0.5).collect();
            let end = samples.len() as f64 / RATE as f64;
            let turns: Vec<(f64, f64, &str)> = (0..random.usize(1..12))
                .map(|_| {
                    let start = random.f64() * end;
                    (start, (start + random.f64() * 20.0).min(end), if random.bool() { "A" } else { "B" })
                })
                .collect();
            let found = spans(&turns, &samples);
            for window in &found {
                assert!(window[0] < window[1] && window[1] - window[0] <= 30.0, "{window:?}");
            }
            assert!(found.windows(2).all(|pair| pair[0][1] <= pair[1][0]), "{found:?}");
            for &(start, stop, _) in turns.iter().filter(|turn| turn.0 < turn.1) {
                let inside: f64 = found.iter().map(|w| (w[1].min(stop) - w[0].max(start)).max(0.0)).sum();
                assert!((inside - (stop - start)).abs() < 1e-6, "{start} {stop} {found:?}");
            }
        }
    }
}
