//! Assigns words to speakers: by overlap in time, then with speaker changes moved to pauses.

use std::collections::BTreeMap;

use crate::{Span, Turn};

/// How far from a speaker change to look for a pause, in seconds. Diarization is often scored with a collar
/// of a quarter of a second for the same reason: boundaries are not more exact.
const REACH: f64 = 0.25;

/// The speaker of each word of a transcript: as [`speakers_of_spans`], but a speaker change between two words then moves to the
/// longest pause between words nearby. The words must be in the order of the text.
///
/// ```
/// use diarize::{Span, Turn, speakers_of_words};
///
/// let turns = [Turn::new(0.0, 1.35, "A"), Turn::new(1.35, 2.0, "B")];
/// let words = [(0.0, 0.4), (0.4, 0.8), (1.2, 1.4), (1.4, 2.0)].map(|(start, end)| Span { start, end });
/// assert_eq!(speakers_of_words(&words, &turns), [Some("A"), Some("A"), Some("B"), Some("B")]);
/// ```
pub fn speakers_of_words<'a>(words: &[Span], turns: &'a [Turn]) -> Vec<Option<&'a str>> {
    let mut speakers = speakers_of_spans(words, turns);
    move_to_pauses(words, &by_speaker(turns), &mut speakers);
    speakers
}

/// The speaker of each span: the one who speaks during most of it. Ties, and spans without any speaker, go to the nearest turn,
/// and among equally near turns to the first. `None` if there are no turns.
///
/// `turns` must be in order and must not overlap, as those of [`Diarization::exclusive`](crate::Diarization::exclusive).
pub fn speakers_of_spans<'a>(spans: &[Span], turns: &'a [Turn]) -> Vec<Option<&'a str>> {
    spans.iter().map(|&span| speaker_of(span, nearby(span, turns))).collect()
}

fn overlap(span: Span, turn: &Turn) -> f64 {
    (span.end.min(turn.end) - span.start.max(turn.start)).max(0.0)
}

/// Seconds between the middle of a span and a turn; 0 inside the turn.
fn distance(span: Span, turn: &Turn) -> f64 {
    let middle = 0.5 * (span.start + span.end);
    (turn.start - middle).max(middle - turn.end).max(0.0)
}

/// The turns that a word touches, and those before and after them.
fn nearby(word: Span, turns: &[Turn]) -> &[Turn] {
    let from = turns.partition_point(|turn| turn.end < word.start).saturating_sub(1);
    let to = turns.partition_point(|turn| turn.start <= word.end) + 1;
    &turns[from..to.min(turns.len()).max(from)]
}

fn speaker_of(word: Span, turns: &[Turn]) -> Option<&str> {
    let mut overlaps: BTreeMap<&str, f64> = BTreeMap::new();
    for turn in turns {
        *overlaps.entry(&turn.speaker).or_default() += overlap(word, turn);
    }
    let mut best: Option<(&str, f64, f64)> = None;
    for turn in turns {
        let shared = if overlap(word, turn) > 0.0 { overlaps[turn.speaker.as_str()] } else { 0.0 };
        let away = distance(word, turn);
        if best.is_none_or(|(_, most, nearest)| shared > most || shared == most && away < nearest) {
            best = Some((&turn.speaker, shared, away));
        }
    }
    best.map(|(speaker, ..)| speaker)
}

/// The turns of each speaker.
type BySpeaker<'a> = BTreeMap<&'a str, Vec<Span>>;

fn by_speaker(turns: &[Turn]) -> BySpeaker<'_> {
    let mut speakers = BySpeaker::new();
    for Turn { start, end, speaker, .. } in turns {
        speakers.entry(speaker).or_default().push(Span { start: *start, end: *end });
    }
    speakers
}

/// Moves every speaker change to a pause. No run of words disappears.
fn move_to_pauses(words: &[Span], turns: &BySpeaker<'_>, speakers: &mut [Option<&str>]) {
    let pause = |gap: usize| words[gap + 1].start - words[gap].end;
    let mut begin = 0; // of the run of words before the change
    let mut change = 0; // the last word of that run
    while change + 1 < words.len() {
        let (before, after) = (speakers[change], speakers[change + 1]);
        if before == after {
            change += 1;
            continue;
        }
        let run_end = (change + 1..words.len()).take_while(|&word| speakers[word] == after).last();
        let last_gap = run_end.unwrap_or(change + 1) - 1;
        let (from, to) = search_window(words, turns, change, before, after);
        let reachable = |gap: &usize| words[*gap].end <= to && words[*gap + 1].start >= from;
        let mut best = change;
        for gap in (begin..=last_gap.max(change)).filter(reachable) {
            if pause(gap) > pause(best) {
                best = gap;
            }
        }
        for (word, speaker) in
            speakers.iter_mut().enumerate().take(best.max(change) + 1).skip(best.min(change) + 1)
        {
            *speaker = if word <= best { before } else { after };
        }
        begin = best + 1;
        change = best + 1;
    }
}

/// Where to look for the pause: from the end of the first speaker's turn to the start of the second's, and
/// [`REACH`] beyond.
fn search_window(
    words: &[Span],
    turns: &BySpeaker<'_>,
    change: usize,
    before: Option<&str>,
    after: Option<&str>,
) -> (f64, f64) {
    let of =
        |speaker: Option<&str>| speaker.and_then(|speaker| turns.get(speaker)).map_or(&[][..], Vec::as_slice);
    let (first, second) = (of(before), of(after));
    let begun = first.partition_point(|turn| turn.start < words[change].end);
    let end = first[..begun].last().map_or(words[change].end, |turn| turn.end);
    let over = second.partition_point(|turn| turn.end <= words[change + 1].start);
    let start = second[over..].first().map_or(words[change + 1].start, |turn| turn.start);
    (end.min(start) - REACH, end.max(start) + REACH)
}

#[cfg(test)]
mod tests {
    use super::{Span, Turn, nearby, speakers_of_spans, speakers_of_words};

    fn turn(start: f64, end: f64, speaker: &str) -> Turn {
        Turn::new(start, end, speaker)
    }

    fn spans(times: &[(f64, f64)]) -> Vec<Span> {
        times.iter().map(|&(start, end)| Span { start, end }).collect()
    }

    fn speakers(times: &[(f64, f64)], turns: &[Turn], to_pauses: bool) -> String {
        let of = if to_pauses { speakers_of_words } else { speakers_of_spans };
        of(&spans(times), turns).iter().map(|speaker| speaker.unwrap_or("-")).collect()
    }

    #[test]
    fn the_longest_overlap_wins() {
        let turns = [turn(0.0, 1.0, "A"), turn(1.0, 2.0, "B"), turn(2.0, 3.0, "A")];
        assert_eq!(speakers(&[(0.0, 0.9), (0.7, 1.4), (1.5, 2.2), (0.5, 2.6)], &turns, false), "ABBA");
    }

    #[test]
    fn ties_go_to_the_nearer_turn_and_then_to_the_first() {
        let turns = [turn(0.0, 1.0, "A"), turn(2.0, 3.0, "B")];
        assert_eq!(speakers(&[(1.1, 1.3), (1.6, 1.9), (1.25, 1.75), (9.0, 9.5)], &turns, false), "ABAB");
        // The overlap is equal, and so is the distance: the first turn wins.
        let turns = [turn(0.0, 1.0, "A"), turn(1.5, 3.0, "B")];
        assert_eq!(speakers(&[(0.8, 1.7)], &turns, false), "A");
        assert_eq!(speakers(&[(1.0, 1.5)], &turns, false), "A");
    }

    #[test]
    fn without_turns_words_have_no_speaker() {
        assert_eq!(speakers(&[(0.0, 1.0)], &[], true), "-");
        assert_eq!(speakers(&[], &[turn(0.0, 1.0, "A")], true), "");
    }

    #[test]
    fn a_change_moves_to_the_pause_nearby() {
        // "see you | (pause) bye now": the turn of A ends 0.2 s late, on the word after the pause.
        let words = [(0.0, 0.4), (0.4, 0.8), (1.2, 1.4), (1.4, 2.0)];
        let turns = [turn(0.0, 1.35, "A"), turn(1.35, 2.0, "B")];
        assert_eq!(speakers(&words, &turns, false), "AAAB");
        assert_eq!(speakers(&words, &turns, true), "AABB");
        // And early, on the word before it.
        let words = [(0.0, 0.6), (0.6, 0.8), (1.2, 1.4), (1.4, 2.0)];
        let turns = [turn(0.0, 0.65, "A"), turn(0.65, 2.0, "B")];
        assert_eq!(speakers(&words, &turns, false), "ABBB");
        assert_eq!(speakers(&words, &turns, true), "AABB");
    }

    #[test]
    fn a_pause_far_away_moves_nothing() {
        let words = [(0.0, 0.5), (0.5, 0.8), (1.2, 1.4), (1.4, 2.0)];
        let turns = [turn(0.0, 0.5, "A"), turn(0.5, 2.0, "B")];
        assert_eq!(speakers(&words, &turns, true), "ABBB");
    }

    #[test]
    fn a_change_without_a_pause_nearby_stays() {
        let words = [(0.0, 0.5), (0.5, 1.0), (1.0, 1.5), (1.5, 2.0), (2.8, 3.0)];
        let turns = [turn(0.0, 1.0, "A"), turn(1.0, 3.0, "B")];
        assert_eq!(speakers(&words, &turns, true), "AABBB");
    }

    #[test]
    fn a_single_word_between_changes_keeps_its_speaker() {
        let words = [(0.0, 0.5), (0.5, 0.7), (0.9, 1.5)];
        let turns = [turn(0.0, 0.5, "A"), turn(0.5, 0.75, "B"), turn(0.75, 1.5, "A")];
        assert_eq!(speakers(&words, &turns, true), "ABA");
    }

    #[test]
    fn words_are_compared_with_few_turns_however_many_there_are() {
        let turns: Vec<Turn> = (0..10_000).map(f64::from).map(|at| turn(at, at + 0.5, "A")).collect();
        for start in [-3.0, 0.0, 0.25, 0.5, 0.75, 4999.0, 5000.6, 9999.2, 20_000.0] {
            for length in [0.0, 0.1, 2.0] {
                let word = Span { start, end: start + length };
                let touched =
                    turns.iter().filter(|turn| turn.start <= word.end && turn.end >= word.start).count();
                let compared = nearby(word, &turns);
                assert!(
                    !compared.is_empty() && compared.len() <= touched + 2,
                    "{word:?}: {}",
                    compared.len()
                );
            }
        }
    }
}
