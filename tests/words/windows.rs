//! Windows of a recording, by its turns.

use diarize::{Span, Turn};
use diarize_words::{Loudness, Window, windows};

const RATE: usize = 16_000;

fn loudness(samples: &[f32]) -> Loudness {
    let mut loudness = Loudness::default();
    loudness.push(samples);
    loudness
}

fn stretches(window: &Window) -> Vec<[f64; 2]> {
    window.stretches().iter().map(|&Span { start, end }| [start, end]).collect()
}

fn found(turns: &[(f64, f64, &str)], samples: &[f32]) -> Vec<Window> {
    let turns: Vec<Turn> = turns.iter().map(|&(start, end, who)| Turn::new(start, end, who)).collect();
    windows(&loudness(samples), &turns)
}

/// Windows of one stretch each.
fn spans(turns: &[(f64, f64, &str)], samples: &[f32]) -> Vec<[f64; 2]> {
    let one = |window: &Window| <[_; 1]>::try_from(stretches(window)).expect("no pause is left out")[0];
    found(turns, samples).iter().map(one).collect()
}

#[test]
fn the_middle_of_long_pauses_is_left_out() {
    let samples = vec![0.1; 60 * RATE];
    let windows =
        found(&[(11.0, 14.0, "A"), (14.5, 19.0, "B"), (24.0, 32.0, "A"), (34.0, 59.9, "A")], &samples);
    let expected = vec![vec![[10.75, 19.75], [23.25, 32.25]], vec![[33.75, 60.0]]];
    assert_eq!(windows.iter().map(stretches).collect::<Vec<_>>(), expected);
    assert!(found(&[], &samples).is_empty());
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
        assert!(found.iter().all(|window| window.seconds() <= 30.0), "{found:?}");
        let all: Vec<[f64; 2]> = found.iter().flat_map(stretches).collect();
        assert!(all.iter().all(|[start, end]| start < end), "{all:?}");
        assert!(all.windows(2).all(|pair| pair[0][1] <= pair[1][0]), "{all:?}");
        for Turn { start, end, .. } in turns {
            let inside: f64 = all.iter().map(|s| (s[1].min(end) - s[0].max(start)).max(0.0)).sum();
            assert!((inside - (end - start)).abs() < 1e-6, "{start} {end} {all:?}");
        }
    }
}
