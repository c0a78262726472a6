//! Windows of a recording, by its turns.

use diarize::{Span, Turn};
use diarize_words::{Loudness, windows};

const RATE: usize = 16_000;

fn loudness(samples: &[f32]) -> Loudness {
    let mut loudness = Loudness::default();
    loudness.push(samples);
    loudness
}

fn spans(turns: &[(f64, f64, &str)], samples: &[f32]) -> Vec<[f64; 2]> {
    let turns: Vec<Turn> = turns.iter().map(|&(start, end, who)| Turn::new(start, end, who)).collect();
    windows(&loudness(samples), &turns).into_iter().map(|Span { start, end }| [start, end]).collect()
}

#[test]
fn pauses_are_left_out_and_short_ones_joined() {
    let samples = vec![0.1; 60 * RATE];
    let turns = [(11.0, 14.0, "A"), (14.5, 19.0, "B"), (24.0, 59.9, "A")];
    let found = spans(&turns, &samples);
    assert_eq!(found[0], [10.75, 19.25]);
    assert_eq!(found[1][0], 23.75);
    assert_eq!(found.last().unwrap()[1], 60.0);
    assert!(spans(&[], &samples).is_empty());
}

#[test]
fn a_short_pause_at_the_start_is_kept() {
    let samples = vec![0.1; 60 * RATE];
    assert_eq!(spans(&[(9.5, 20.0, "A")], &samples), [[0.0, 20.25]]);
    assert_eq!(spans(&[(10.5, 20.0, "A")], &samples), [[10.25, 20.25]]);
    // There is no room for it in 30 s.
    assert_eq!(spans(&[(9.5, 30.0, "A")], &samples), [[9.25, 30.25]]);
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
    let samples: Vec<f32> = (0..1000 * RATE).map(|_| random.f32() - 0.5).collect();
    let loudness = loudness(&samples);
    for round in 0..50 {
        let mut turn = || {
            let start = random.f64() * 1000.0;
            let end = (start + random.f64() * if round % 2 == 0 { 20.0 } else { 900.0 }).min(1000.0);
            Turn::new(start, end, if random.bool() { "A" } else { "B" })
        };
        let turns: Vec<Turn> = (0..1 + round).map(|_| turn()).collect();
        let found = windows(&loudness, &turns);
        for window in &found {
            assert!(window.start < window.end && window.end - window.start <= 30.0, "{window:?}");
        }
        assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start), "{found:?}");
        for Turn { start, end, .. } in turns {
            let inside: f64 = found.iter().map(|w| (w.end.min(end) - w.start.max(start)).max(0.0)).sum();
            assert!((inside - (end - start)).abs() < 1e-6, "{start} {end} {found:?}");
        }
    }
}
