//! JSON of the Whisper family: openai-whisper, faster-whisper and WhisperX (`segments`, optionally with
//! `words`, or a bare list of segments) and whisper.cpp (`transcription`, optionally with `tokens`). It is
//! written unchanged except for an added `speaker` in segments, words and tokens.

use anyhow::{Context, bail};
use serde_json::Value;

use super::{Segment, Span, Word, words};

#[derive(Clone, Debug)]
pub(super) struct Whisper {
    document: Value,
}

impl Whisper {
    pub(super) fn parse(text: &str) -> anyhow::Result<(Self, Vec<Segment>)> {
        let mut document: Value = serde_json::from_str(text)?;
        let segments = segments_of(&mut document)?;
        let segments = segments
            .iter()
            .enumerate()
            .map(|(index, value)| segment(value).with_context(|| format!("segment {index}")))
            .collect::<Result<_, _>>()?;
        Ok((Self { document }, segments))
    }

    /// The document with its speakers.
    pub(super) fn render(&self, segments: &[Segment]) -> anyhow::Result<String> {
        let mut document = self.document.clone();
        for (value, segment) in segments_of(&mut document)?.iter_mut().zip(segments) {
            name(value, segment.speaker.as_deref());
            if let Some(values) = value.get_mut("words").and_then(Value::as_array_mut) {
                for (value, word) in values.iter_mut().zip(&segment.words) {
                    name(value, word.speaker.as_deref());
                }
            } else if let Some(tokens) = value.get_mut("tokens").and_then(Value::as_array_mut) {
                let indices = word_indices(tokens);
                for (token, word) in tokens.iter_mut().zip(indices) {
                    if let Some(word) = word {
                        name(token, segment.words[word].speaker.as_deref());
                    }
                }
            }
        }
        // WhisperX lists all words a second time.
        if let Some(values) = document.get_mut("word_segments").and_then(Value::as_array_mut)
            && values.len() == words(segments).count()
        {
            for (value, word) in values.iter_mut().zip(words(segments)) {
                name(value, word.speaker.as_deref());
            }
        }
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }
}

fn segments_of(document: &mut Value) -> anyhow::Result<&mut Vec<Value>> {
    let list = match document {
        Value::Array(list) => Some(list),
        Value::Object(fields) => {
            let key = if fields.contains_key("segments") { "segments" } else { "transcription" };
            fields.get_mut(key).and_then(Value::as_array_mut)
        }
        _ => None,
    };
    list.context("JSON without a list `segments` (Whisper, WhisperX) or `transcription` (whisper.cpp)")
}

fn name(value: &mut Value, speaker: Option<&str>) {
    if let (Value::Object(fields), Some(speaker)) = (value, speaker) {
        fields.insert("speaker".to_owned(), speaker.into());
    }
}

fn segment(value: &Value) -> anyhow::Result<Segment> {
    let span = span(value).context("has no times")?;
    let text = value["text"].as_str().context("has no text")?.to_owned();
    let words = if let Some(values) = value["words"].as_array() {
        let timed: Vec<(Option<Span>, String)> = values
            .iter()
            .map(|word| {
                let text = word["word"].as_str().or(word["text"].as_str());
                Ok((self::span(word), text.context("a word has no text")?.to_owned()))
            })
            .collect::<anyhow::Result<_>>()?;
        with_all_times(span, timed)
    } else if let Some(tokens) =
        value["tokens"].as_array().filter(|tokens| tokens.iter().any(Value::is_object))
    {
        words_from_tokens(tokens)
    } else {
        Vec::new()
    };
    if !span.start.is_finite() {
        bail!("has no times");
    }
    Ok(Segment { span, text, words, speaker: None })
}

/// `start` and `end` in seconds, or whisper.cpp's `offsets` in milliseconds.
fn span(value: &Value) -> Option<Span> {
    if let (Some(start), Some(end)) = (value["start"].as_f64(), value["end"].as_f64()) {
        return Some(Span { start, end });
    }
    let offsets = &value["offsets"];
    Some(Span { start: offsets["from"].as_f64()? / 1000.0, end: offsets["to"].as_f64()? / 1000.0 })
}

/// Words with complete times. WhisperX leaves out some times, mostly those of numbers; they are taken from
/// the neighboring words.
fn with_all_times(segment: Span, words: Vec<(Option<Span>, String)>) -> Vec<Word> {
    let mut filled = Vec::with_capacity(words.len());
    let mut now = segment.start;
    for (index, (span, text)) in words.iter().enumerate() {
        let span = span.unwrap_or_else(|| {
            let next = words[index..].iter().find_map(|(span, _)| span.map(|span| span.start));
            Span { start: now, end: next.unwrap_or(segment.end).max(now) }
        });
        now = span.end;
        filled.push(Word { span, text: text.clone(), speaker: None });
    }
    filled
}

/// The index of the word that each whisper.cpp token belongs to. A word starts with a space; markers such as
/// `[_BEG_]` belong to no word.
fn word_indices(tokens: &[Value]) -> Vec<Option<usize>> {
    let mut count = 0;
    tokens
        .iter()
        .map(|token| {
            let text = token["text"].as_str().filter(|text| !text.starts_with("[_"))?;
            span(token)?;
            if count == 0 || text.starts_with(' ') {
                count += 1;
            }
            Some(count - 1)
        })
        .collect()
}

fn words_from_tokens(tokens: &[Value]) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    for (token, word) in tokens.iter().zip(word_indices(tokens)) {
        let (Some(word), Some(span)) = (word, span(token)) else { continue };
        let text = token["text"].as_str().unwrap_or_default();
        match words.get_mut(word) {
            Some(word) => {
                word.text += text;
                word.span.end = word.span.end.max(span.end);
            }
            None => words.push(Word { span, text: text.to_owned(), speaker: None }),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{Span, Whisper};

    #[test]
    fn words_without_times_lie_between_their_neighbors() {
        let text = r#"{"segments": [{"start": 1.0, "end": 4.0, "text": "in 2024 we did",
            "words": [{"word": "in", "start": 1.0, "end": 1.5}, {"word": "2024"},
                      {"word": "we", "start": 2.0, "end": 2.5}, {"word": "did"}]}]}"#;
        let (_, segments) = Whisper::parse(text).unwrap();
        let spans: Vec<Span> = segments[0].words.iter().map(|word| word.span).collect();
        assert_eq!(spans[1], Span { start: 1.5, end: 2.0 });
        assert_eq!(spans[3], Span { start: 2.5, end: 4.0 });
    }

    #[test]
    fn tokens_of_whisper_cpp_make_words() {
        let text = r#"{"transcription": [{"offsets": {"from": 0, "to": 900}, "text": " Hello, you", "tokens": [
            {"text": "[_BEG_]", "offsets": {"from": 0, "to": 0}},
            {"text": " Hel", "offsets": {"from": 0, "to": 200}}, {"text": "lo", "offsets": {"from": 200, "to": 400}},
            {"text": ",", "offsets": {"from": 400, "to": 450}}, {"text": " you", "offsets": {"from": 500, "to": 900}}]}]}"#;
        let (_, segments) = Whisper::parse(text).unwrap();
        let words: Vec<(&str, f64, f64)> = segments[0]
            .words
            .iter()
            .map(|word| (word.text.as_str(), word.span.start, word.span.end))
            .collect();
        assert_eq!(words, [(" Hello,", 0.0, 0.45), (" you", 0.5, 0.9)]);
    }

    #[test]
    fn other_json_is_refused() {
        for (text, reason) in [
            ("{\"turns\": []}", "without a list `segments`"),
            ("[{\"text\": \"a\"}]", "has no times"),
            ("[{\"start\": 0, \"end\": 1}]", "has no text"),
            ("{", "EOF"),
        ] {
            let error = format!("{:#}", Whisper::parse(text).unwrap_err());
            assert!(error.contains(reason), "{error}");
        }
    }
}
