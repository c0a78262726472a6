//! Words and the text that they are from.

use std::ops::Range;

use super::{Passage, Segment, Span, Word};

/// A pause between words, in seconds, at which a new segment begins.
const PAUSE: f64 = 1.0;

/// Segments for words that have none. A segment ends with a sentence or before a pause.
pub(super) fn sentences(words: Vec<Word>) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    // The words of Whisper include their spaces.
    let blank = if words.iter().any(|word| word.text.starts_with(' ')) { "" } else { " " };
    let mut open = false;
    for word in words {
        let Span { start, end } = word.span;
        let ends = word.text.trim_end().ends_with(['.', '?', '!', '…', '。', '？', '！']);
        match segments.last_mut().filter(|segment| open && start - segment.span.end < PAUSE) {
            Some(segment) => {
                segment.span.end = end.max(segment.span.end);
                segment.text += blank;
                segment.text += &word.text;
                segment.words.push(word);
            }
            None => segments.push(Segment {
                span: word.span,
                text: word.text.clone(),
                words: vec![word],
                speaker: None,
            }),
        }
        open = !ends;
    }
    segments
}

/// Gives words that are listed beside the segments to the segments that contain them: by their text, and where it
/// differs, by the middle of their time.
pub(super) fn distributed(segments: &mut [Segment], words: Vec<Word>) {
    let (mut current, mut read) = (0, 0);
    for word in words {
        let middle = 0.5 * (word.span.start + word.span.end);
        let find = |segment: usize, from: usize| found(&segments[segment].text, from, &word.text);
        if let Some(range) = find(current, read) {
            read = range.end;
        } else {
            let later = current + 1..segments.len();
            let begun = later.clone().take_while(|&later| segments[later].span.start <= middle).last();
            let next = begun
                .or(later.start.lt(&later.end).then_some(later.start))
                .filter(|&next| begun.is_some() || find(next, 0).is_some());
            if let Some(next) = next {
                read = find(next, 0).map_or(0, |range| range.end);
                current = next;
            }
        }
        segments[current].words.push(word);
    }
}

/// Where a word is in a text from `from` on, if it comes next there, apart from punctuation.
fn found(text: &str, from: usize, word: &str) -> Option<Range<usize>> {
    let is_punctuation = |letter: char| !letter.is_alphanumeric();
    let word = word.trim_matches(is_punctuation);
    if word.is_empty() {
        return Some(from..from);
    }
    let rest = text[from..].trim_start_matches(is_punctuation);
    let start = text.len() - rest.len();
    rest.starts_with(word).then(|| start..start + word.len())
}

/// A segment's passages, one for each run of words by one speaker.
pub(super) fn passages(segment: &Segment) -> Vec<Passage<'_>> {
    let first = segment.words.first().and_then(|word| word.speaker.as_deref());
    if segment.words.iter().all(|word| word.speaker.as_deref() == first) && !segment.text.trim().is_empty() {
        let speaker = first.or(segment.speaker.as_deref());
        return vec![passage(segment.span, &segment.text, speaker, &segment.words)];
    }
    let runs = || segment.words.chunk_by(|a, b| a.speaker == b.speaker);
    let texts = split(&segment.text, runs()).unwrap_or_else(|| runs().map(joined).collect());
    runs()
        .zip(texts)
        .map(|(run, text)| {
            let span = Span { start: run[0].span.start, end: run[run.len() - 1].span.end };
            passage(span, &text, run[0].speaker.as_deref(), run)
        })
        .collect()
}

fn passage<'a>(span: Span, text: &str, speaker: Option<&'a str>, words: &[Word]) -> Passage<'a> {
    let text = on_one_line(text);
    let (mut times, mut read, mut units) = (vec![(0, span.start)], 0, 0);
    for word in words {
        let Some(Range { start, end }) = found(&text, read, &word.text) else { break };
        // Marks after a space belong to the word.
        let marks = text[read..start].rsplit(char::is_whitespace).next().map_or(0, str::len);
        units += text[read..start - marks].encode_utf16().count();
        times.push((units, word.span.start));
        units += text[start - marks..end].encode_utf16().count();
        read = end;
    }
    Passage { span, text, speaker, times }
}

/// The part of the text for each run of words, with its punctuation. `None` if a word is not in the text.
fn split<'w>(text: &str, runs: impl Iterator<Item = &'w [Word]>) -> Option<Vec<String>> {
    let (mut cuts, mut read) = (Vec::new(), 0);
    for run in runs {
        for (index, word) in run.iter().enumerate() {
            let Range { start, end } = found(text, read, &word.text)?;
            if index == 0 {
                // Marks before a space belong to the word before it.
                let between = &text[read..start];
                cuts.push(read + between.find(char::is_whitespace).unwrap_or(between.len()));
            }
            read = end;
        }
    }
    *cuts.first_mut()? = 0;
    cuts.push(text.len());
    Some(cuts.windows(2).map(|cut| text[cut[0]..cut[1]].to_owned()).collect())
}

/// The text of words alone.
fn joined(words: &[Word]) -> String {
    let blank = if words.iter().any(|word| word.text.starts_with(' ')) { "" } else { " " };
    words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(blank)
}

/// A blank line would end a subtitle.
fn on_one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Segment, Span, Word, distributed, passages, sentences};

    fn words(words: &[(&str, f64, f64, &str)]) -> Vec<Word> {
        let word = |&(text, start, end, speaker): &(&str, f64, f64, &str)| Word {
            span: Span { start, end },
            text: text.to_owned(),
            speaker: (!speaker.is_empty()).then(|| speaker.to_owned()),
        };
        words.iter().map(word).collect()
    }

    fn segment(text: &str, start: f64, end: f64) -> Segment {
        Segment { span: Span { start, end }, text: text.to_owned(), words: Vec::new(), speaker: None }
    }

    #[test]
    fn sentences_end_with_a_mark_or_before_a_pause() {
        let spoken = words(&[
            ("Hello.", 0.0, 0.5, ""),
            ("So", 0.6, 0.8, ""),
            ("well", 0.8, 1.0, ""),
            ("yes", 2.5, 2.6, ""),
        ]);
        let segments = sentences(spoken);
        let texts: Vec<(&str, f64, f64)> = segments
            .iter()
            .map(|segment| (segment.text.as_str(), segment.span.start, segment.span.end))
            .collect();
        assert_eq!(texts, [("Hello.", 0.0, 0.5), ("So well", 0.6, 1.0), ("yes", 2.5, 2.6)]);
        assert_eq!(sentences(words(&[(" So", 0.0, 0.1, ""), (" it", 0.1, 0.2, "")]))[0].text, " So it");
        assert_eq!(sentences(Vec::new()), []);
    }

    #[test]
    fn words_beside_segments_are_found_by_text_and_else_by_time() {
        let mut segments = [segment(" Hello there, you.", 0.0, 2.0), segment(" You? (Yes)", 2.0, 4.0)];
        // The third word is late, and the fifth is written differently.
        let spoken =
            [("Hello", 0.0, 0.5, ""), ("there", 0.5, 1.0, ""), ("you", 1.9, 2.3, ""), ("You", 2.3, 2.4, "")];
        distributed(&mut segments, words(&[&spoken[..], &[("yeah", 3.0, 3.4, "")]].concat()));
        let texts =
            |segment: &Segment| segment.words.iter().map(|word| word.text.clone()).collect::<Vec<_>>();
        assert_eq!(
            (texts(&segments[0]).len(), texts(&segments[1])),
            (3, vec!["You".to_owned(), "yeah".to_owned()])
        );
    }

    #[test]
    fn passages_keep_the_punctuation_of_the_text() {
        let mut whole = segment(" Hello there. \u{201c}Yes!\u{201d} -- no", 0.0, 4.0);
        whole.words = words(&[
            ("Hello", 0.0, 0.5, "A"),
            ("there", 0.5, 1.0, "A"),
            ("Yes", 1.0, 1.5, "B"),
            ("no", 2.0, 3.0, "A"),
        ]);
        let texts =
            |segment: &Segment| passages(segment).into_iter().map(|passage| passage.text).collect::<Vec<_>>();
        assert_eq!(texts(&whole), ["Hello there.", "\u{201c}Yes!\u{201d}", "-- no"]);
        let times = |segment: &Segment| {
            passages(segment).into_iter().map(|passage| passage.times).collect::<Vec<_>>()
        };
        let [hello, yes, no] =
            [vec![(0, 0.0), (0, 0.0), (6, 0.5)], vec![(0, 1.0), (0, 1.0)], vec![(0, 2.0), (3, 2.0)]];
        assert_eq!(times(&whole), [hello, yes, no]);
        whole.text = " Something else\n\nentirely".to_owned();
        assert_eq!(texts(&whole), ["Hello there", "Yes", "no"]);
        whole.words.truncate(2);
        assert_eq!(texts(&whole), ["Something else entirely"]);
    }
}
