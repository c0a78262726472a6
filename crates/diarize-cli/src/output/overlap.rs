//! How much of a turn overlaps those of other speakers.

use diarize::Turn;

/// The seconds of each turn in which somebody else speaks too. The turns are sorted by start.
pub fn overlaps(turns: &[Turn]) -> Vec<f64> {
    // A turn that starts earlier than this before another one does not reach it.
    let longest = turns.iter().map(|turn| turn.end - turn.start).fold(0.0, f64::max);
    let overlap = |turn: &Turn| {
        let first = turns.partition_point(|other| other.start < turn.start - longest);
        let (mut covered, mut reached) = (0.0, turn.start);
        for other in turns[first..].iter().take_while(|other| other.start < turn.end) {
            let end = other.end.min(turn.end);
            if other.speaker != turn.speaker && end > reached {
                covered += end - other.start.max(reached);
                reached = end;
            }
        }
        covered
    };
    turns.iter().map(overlap).collect()
}

#[cfg(test)]
mod tests {
    use diarize::Turn;

    use super::overlaps;

    #[test]
    fn time_with_several_others_counts_once() {
        let turns = [
            (0.0, 10.0, "a"),
            (1.0, 2.0, "b"),
            (1.5, 3.0, "c"),
            (9.0, 12.0, "b"),
            (9.5, 9.75, "b"),
            (12.0, 13.0, "a"),
        ];
        let turns = turns.map(|(start, end, speaker)| Turn::new(start, end, speaker));
        assert_eq!(overlaps(&turns), [3.0, 1.0, 1.5, 1.0, 0.25, 0.0]);
        assert!(overlaps(&[]).is_empty());
    }
}
