//! The words of segments, with their times.
//!
//! Source: `whisper.timing.merge_punctuations` and `add_word_timestamps`.

use crate::{alignment::TokenTimes, tokens::WordTokens, transcription::Word};

const OPENING: &str = "\"'“¿([{-";
const CLOSING: &str = "\"'.。,，!！?？:：”)]}、";
const SENTENCE_ENDS: &str = ".。!！?？";

/// What precedes the words of a segment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Typical {
    /// The median duration of a word in seconds, at most 0.7.
    pub median: f64,
}

impl Typical {
    fn longest(self) -> f64 {
        2.0 * self.median
    }
}

/// A word, the number of its tokens, and its times from the start of the segment.
#[derive(Clone, Debug)]
pub struct Timed {
    /// The word.
    pub word: Word,
    /// Number of its tokens.
    pub tokens: usize,
}

/// Words with their times, and how long they are.
#[derive(Clone, Debug, Default)]
pub struct TimedWords {
    /// The words.
    pub words: Vec<Timed>,
    /// How long they are.
    pub typical: Typical,
}

/// The words with their times. Punctuation belongs to the word beside it.
pub fn words(words: Vec<WordTokens>, times: &TokenTimes) -> TimedWords {
    let mut at = 0;
    let timed = words.into_iter().map(|WordTokens { text, tokens }| {
        let range = at..at + tokens.len();
        at = range.end;
        let probability = times.probabilities[range.clone()].iter().sum::<f64>() / tokens.len() as f64;
        let word = Word { start: times.starts[range.start], end: times.starts[range.end], text, probability };
        Timed { word, tokens: tokens.len() }
    });
    let mut timed: Vec<Timed> = timed.collect();
    let typical = Typical { median: median_duration(&timed).min(0.7) };
    shorten_at_sentence_ends(&mut timed, typical);
    join_opening(&mut timed);
    join_closing(&mut timed);
    TimedWords { words: timed, typical }
}

/// The median of the durations that are not zero; 0 if there are none.
fn median_duration(words: &[Timed]) -> f64 {
    let durations = words.iter().map(|timed| timed.word.end - timed.word.start);
    let mut durations: Vec<f64> = durations.filter(|&duration| duration != 0.0).collect();
    durations.sort_by(f64::total_cmp);
    let middle = durations.len() / 2;
    match durations.as_slice() {
        [] => 0.0,
        all if all.len().is_multiple_of(2) => 0.5 * (all[middle - 1] + all[middle]),
        all => all[middle],
    }
}

/// Words after the end of a sentence, and its full stop, would otherwise extend over the pause.
fn shorten_at_sentence_ends(words: &mut [Timed], typical: Typical) {
    if typical.median == 0.0 {
        return;
    }
    for index in 1..words.len() {
        let ends_before = SENTENCE_ENDS.contains(&words[index - 1].word.text);
        let word = &mut words[index].word;
        if word.end - word.start > typical.longest() {
            if SENTENCE_ENDS.contains(&word.text) {
                word.end = word.start + typical.longest();
            } else if ends_before {
                word.start = word.end - typical.longest();
            }
        }
    }
}

/// Moves opening punctuation to the word after it.
fn join_opening(words: &mut [Timed]) {
    let mut following = words.len().saturating_sub(1);
    for previous in (0..following).rev() {
        let text = &words[previous].word.text;
        if text.starts_with(' ') && OPENING.contains(text.trim()) {
            let joined = words[previous].word.text.clone() + &words[following].word.text;
            let tokens = std::mem::take(&mut words[previous].tokens);
            words[previous].word.text.clear();
            words[following].word.text = joined;
            words[following].tokens += tokens;
        } else {
            following = previous;
        }
    }
}

/// Moves closing punctuation to the word before it.
fn join_closing(words: &mut [Timed]) {
    let mut previous = 0;
    for following in 1..words.len() {
        let text = &words[following].word.text;
        if !words[previous].word.text.ends_with(' ') && CLOSING.contains(text.as_str()) {
            let text = std::mem::take(&mut words[following].word.text);
            let tokens = std::mem::take(&mut words[following].tokens);
            words[previous].word.text += &text;
            words[previous].tokens += tokens;
        } else {
            previous = following;
        }
    }
}

/// Corrects the first and last words of a segment, and its span: words beside a pause often extend over it.
/// `spoken_until` is the end of the segment before.
pub fn fit(words: &mut [Word], span: &mut [f64; 2], typical: Typical, spoken_until: f64) {
    let longest = typical.longest();
    let Some(last) = words.len().checked_sub(1) else { return };
    let is_long = |words: &[Word]| {
        words[0].end - words[0].start > longest || last > 0 && words[1].end - words[0].start > 2.0 * longest
    };
    if words[0].end - spoken_until > 4.0 * typical.median && is_long(words) {
        if last > 0 && words[1].end - words[1].start > longest {
            let boundary = (words[1].end / 2.0).max(words[1].end - longest);
            words[0].end = boundary;
            words[1].start = boundary;
        }
        words[0].start = (words[0].end - longest).max(0.0);
    }
    let [start, end] = span;
    if *start < words[0].end && *start - 0.5 > words[0].start {
        words[0].start = (words[0].end - typical.median).min(*start).max(0.0);
    } else {
        *start = words[0].start;
    }
    if *end > words[last].start && *end + 0.5 < words[last].end {
        words[last].end = (words[last].start + typical.median).max(*end);
    } else {
        *end = words[last].end;
    }
}
