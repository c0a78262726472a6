//! Turns for people to read.

use std::collections::BTreeMap;

use diarize::Turn;

/// The shortest turn, in seconds, that is shown to people: in srt, vtt and txt, and in the list of the page. A
/// shorter one continues a turn of the same speaker if one is that near; otherwise it is left out. Formats for
/// programs contain all turns.
pub(crate) const SHORTEST: f64 = 0.1;

/// Turns without those that are shorter than [`SHORTEST`].
pub(super) fn readable(turns: &[Turn]) -> Vec<Turn> {
    let is_short = |turn: &Turn| turn.end - turn.start < SHORTEST;
    let mut shown: Vec<Turn> = Vec::new();
    let mut latest: BTreeMap<&str, usize> = BTreeMap::new();
    for turn in turns {
        if let Some(&index) = latest.get(turn.speaker.as_str())
            && turn.start - shown[index].end < SHORTEST
            && (is_short(turn) || is_short(&shown[index]))
        {
            shown[index].end = shown[index].end.max(turn.end);
        } else {
            latest.insert(&turn.speaker, shown.len());
            shown.push(turn.clone());
        }
    }
    shown.retain(|turn| !is_short(turn));
    shown
}

#[cfg(test)]
mod tests {
    use super::{Turn, readable};

    #[test]
    fn short_turns_join_their_speaker_or_disappear() {
        let turns = |turns: &[(f64, f64, &str)]| -> Vec<Turn> {
            turns.iter().map(|&(start, end, speaker)| Turn::new(start, end, speaker)).collect()
        };
        let found = turns(&[
            (0.0, 2.0, "A"),
            (1.0, 1.02, "B"),
            (2.05, 2.08, "A"),
            (2.5, 2.55, "B"),
            (2.6, 4.0, "B"),
            (4.0, 4.05, "A"),
            (4.05, 5.0, "B"),
            (5.0, 5.125, "A"),
            (6.0, 6.06, "C"),
            (6.08, 6.14, "C"),
        ]);
        let expected = turns(&[
            (0.0, 2.08, "A"),
            (2.5, 4.0, "B"),
            (4.05, 5.0, "B"),
            (5.0, 5.125, "A"),
            (6.0, 6.14, "C"),
        ]);
        assert_eq!(readable(&found), expected);
        assert_eq!(readable(&found[..0]), []);
    }
}
