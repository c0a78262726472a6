//! Windows of a recording, by its turns.

use diarize::{Span, Turn};
use diarize_words::{Loudness, windows};

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
