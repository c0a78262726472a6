//! The diarization error that `cargo xtask score` prints.

#[path = "../support/der.rs"]
mod der;

use diarize::Turn;
use xtask::score::Errors;

fn turn(start: f64, end: f64, speaker: &str) -> Turn {
    Turn { start, end, speaker: speaker.into() }
}

#[test]
fn each_kind_of_error_is_counted_as_what_it_is() {
    let truth = [turn(0.0, 4.0, "a"), turn(3.0, 8.0, "b")];
    let found = [turn(0.5, 3.0, "x"), turn(3.0, 7.0, "y"), turn(7.0, 8.0, "x"), turn(8.0, 8.25, "y")];
    let errors = Errors::count(&truth, &found);
    assert_eq!((errors.speech, errors.missed, errors.false_alarm, errors.confused), (9.0, 1.5, 0.25, 1.0));
    assert_eq!((errors.speakers, errors.speakers_found), (2, 2));
}

#[test]
fn nobody_found_is_all_missed() {
    let errors = Errors::count(&[turn(1.0, 3.0, "a")], &[]);
    assert_eq!((errors.speech, errors.missed, errors.false_alarm, errors.confused), (2.0, 2.0, 0.0, 0.0));
}

/// With more speakers found than there are, against every assignment tried one after the other.
#[test]
fn the_best_assignment_is_found() {
    let truth: Vec<Turn> = (0..40)
        .map(|i| turn(f64::from(i), f64::from(i) + 1.3, ["a", "b", "c", "d"][i as usize * 7 % 4]))
        .collect();
    let found: Vec<Turn> = (0..60)
        .map(|i| {
            turn(f64::from(i) * 0.7, f64::from(i) * 0.7 + 0.8, ["1", "2", "3", "4", "5"][i as usize * 11 % 5])
        })
        .collect();
    let errors = Errors::count(&truth, &found);
    let rate = (errors.missed + errors.false_alarm + errors.confused) / errors.speech;
    assert!((rate - der::diarization_error_rate(&truth, &found)).abs() < 1e-9, "{rate}");
}
