//! The diarization error rate on a grid of ten milliseconds.

use diarize::Turn;

/// Missed, false and confused speech as a fraction of the reference speech, for the best one-to-one
/// matching of speakers, with no collar and with overlaps scored.
///
/// # Panics
/// If there are more than six speakers.
pub fn diarization_error_rate(reference: &[Turn], found: &[Turn]) -> f64 {
    let (truth, answer) = (speakers(reference), speakers(found));
    assert!(truth.len() <= 6 && answer.len() <= 6, "too many speakers to try every assignment");
    let end = reference.iter().chain(found).fold(0.0, |end: f64, turn| end.max(turn.end));
    let mut total = 0;
    let mut larger = 0;
    let mut together = vec![vec![0usize; answer.len()]; truth.len()];
    for step in 0..(end * 100.0).ceil() as usize {
        let time = (step as f64 + 0.5) / 100.0;
        let (said, heard) = (active(reference, &truth, time), active(found, &answer, time));
        total += said.len();
        larger += said.len().max(heard.len());
        for &speaker in &said {
            heard.iter().for_each(|&other| together[speaker][other] += 1);
        }
    }
    (larger - best(&together, &mut vec![false; answer.len()], 0)) as f64 / total as f64
}

fn speakers(turns: &[Turn]) -> Vec<&str> {
    let mut speakers: Vec<&str> = turns.iter().map(|turn| turn.speaker.as_str()).collect();
    speakers.sort_unstable();
    speakers.dedup();
    speakers
}

fn active(turns: &[Turn], speakers: &[&str], time: f64) -> Vec<usize> {
    let speaks = |speaker: &str| {
        turns.iter().any(|turn| turn.speaker == speaker && (turn.start..turn.end).contains(&time))
    };
    (0..speakers.len()).filter(|&index| speaks(speakers[index])).collect()
}

/// Maximum number of steps that speakers from `speaker` on can share with others not yet `taken`.
fn best(together: &[Vec<usize>], taken: &mut Vec<bool>, speaker: usize) -> usize {
    let Some(row) = together.get(speaker) else { return 0 };
    let mut most = best(together, taken, speaker + 1);
    for (other, &steps) in row.iter().enumerate() {
        if !taken[other] {
            taken[other] = true;
            most = most.max(steps + best(together, taken, speaker + 1));
            taken[other] = false;
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::{Turn, diarization_error_rate};

    #[test]
    fn known_errors_are_counted() {
        let turn = |start, end, speaker: &str| Turn::new(start, end, speaker);
        let reference = [turn(0.0, 4.0, "a"), turn(4.0, 8.0, "b")];
        let rate = |found: &[Turn]| diarization_error_rate(&reference, found);
        assert_eq!(rate(&[turn(0.0, 4.0, "x"), turn(4.0, 8.0, "y")]), 0.0, "other names");
        assert_eq!(rate(&[]), 1.0, "all missed");
        assert_eq!(rate(&[turn(0.0, 8.0, "x")]), 0.5, "half confused");
        assert_eq!(rate(&[turn(0.0, 4.0, "x"), turn(4.0, 10.0, "y")]), 0.25, "two seconds false");
    }
}
