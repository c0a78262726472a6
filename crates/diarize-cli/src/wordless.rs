//! Finds speech in which no words were recognized: small Whisper models lose sentences, often after a prompt.

use diarize::{Span, Turn};

use crate::output::clock;

/// Shorter speech without words, in seconds, is normal: laughter, hesitation, overlapping talk.
const LEAST: f64 = 10.0;

/// The warning about the gap between two words in which somebody speaks for the longest time. `words` are in order.
pub fn warning(turns: &[Turn], words: impl Iterator<Item = Span>) -> Option<String> {
    let speech = union(turns);
    let mut gaps = Vec::new();
    let mut heard = 0.0;
    for word in words {
        gaps.push(Span { start: heard, end: word.start });
        heard = word.end.max(heard);
    }
    gaps.push(Span { start: heard, end: f64::INFINITY });
    let spoken = |gap: &Span| speech.iter().map(|span| common(span, gap)).sum::<f64>();
    let rated = gaps.iter().map(|gap| (spoken(gap), gap));
    let (seconds, gap) = rated.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(seconds, _)| *seconds >= LEAST)?;
    let inside: Vec<&Span> = speech.iter().filter(|span| common(span, gap) > 0.0).collect();
    let (first, last) = (inside.first()?, inside.last()?);
    Some(format!(
        "no words were found from {} to {}, where somebody speaks for {seconds:.0} s: another model, or no --prompt, may find some",
        clock(first.start.max(gap.start), '.'),
        clock(last.end.min(gap.end), '.'),
    ))
}

/// The spans in which at least one person speaks, in order and without overlap.
fn union(turns: &[Turn]) -> Vec<Span> {
    let mut all: Vec<Span> = turns.iter().map(|turn| Span { start: turn.start, end: turn.end }).collect();
    all.sort_by(|a, b| a.start.total_cmp(&b.start));
    let mut union: Vec<Span> = Vec::new();
    for span in all {
        match union.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => union.push(span),
        }
    }
    union
}

/// Seconds that two spans have in common.
fn common(a: &Span, b: &Span) -> f64 {
    (a.end.min(b.end) - a.start.max(b.start)).max(0.0)
}

#[cfg(test)]
mod tests {
    use diarize::{Span, Turn};

    use super::warning;

    fn told(words: &[[f64; 2]]) -> Option<String> {
        let turns = [Turn::new(6.0, 15.0, "A"), Turn::new(14.0, 22.0, "B"), Turn::new(25.0, 30.0, "A")];
        warning(&turns, words.iter().map(|&[start, end]| Span { start, end }))
    }

    #[test]
    fn only_long_speech_without_words_is_told() {
        let sentence = told(&[[6.5, 7.0], [27.0, 28.0]]).unwrap();
        let expected =
            "no words were found from 00:00:07.000 to 00:00:27.000, where somebody speaks for 17 s: ";
        assert!(sentence.starts_with(expected), "{sentence}");
        let before = told(&[[27.0, 28.0]]).unwrap();
        assert!(
            before.contains("from 00:00:06.000 to 00:00:27.000, where somebody speaks for 18 s"),
            "{before}"
        );
        let after = told(&[[6.0, 7.0]]).unwrap();
        assert!(
            after.contains("from 00:00:07.000 to 00:00:30.000, where somebody speaks for 20 s"),
            "{after}"
        );
        assert_eq!(told(&[[7.0, 8.0], [15.0, 16.0], [21.0, 22.0], [26.0, 27.0]]), None);
    }
}
