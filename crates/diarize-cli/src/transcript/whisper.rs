//! JSON of speech recognizers, to which speakers are added. Everything else is written as it was.

use std::borrow::Cow;

use anyhow::{Result, ensure};

use super::{
    Parsed, Segment, Span, Word,
    align::{distributed, sentences},
    faults::{Fault, Faults},
    json::{self, Object, Value},
    labels,
    lines::{Edit, edited},
    lists::Lists,
    times::{Times, clock, spans},
};

#[derive(Clone, Debug)]
pub(super) struct Whisper {
    text: String,
    places: Vec<Place>,
}

/// Where a speaker is written.
#[derive(Clone, Debug)]
struct Place {
    /// What is replaced, and what comes before the speaker.
    edit: Edit,
    of: Of,
}

/// Whose speaker it is.
#[derive(Clone, Copy, Debug)]
enum Of {
    Segment(usize),
    /// Counted over all segments.
    Word(usize),
    /// An entry of another list.
    Other(usize),
}

/// An entry of a list as it is written.
struct Entry<'t> {
    times: Times,
    text: Cow<'t, str>,
}

impl Entry<'_> {
    fn is_timed(&self) -> bool {
        self.times.start.or(self.times.end).is_some()
    }
}

impl Whisper {
    pub(super) fn parse(text: &str, faults: &mut Faults) -> Result<(Self, Parsed)> {
        let document = json::parse(text, faults)?;
        let lists = Lists::of(&document)?;
        let mut reader = Reader { text, milliseconds: lists.milliseconds, faults, places: Vec::new() };
        let parsed = reader.read(&lists)?;
        let places = reader.places;
        Ok((Self { text: text.to_owned(), places }, parsed))
    }

    /// The document with its speakers. Old names without a new one stay, or become null with `removes`.
    pub(super) fn render(&self, segments: &[Segment], others: &[Word], removes: bool) -> String {
        let words: Vec<&Word> = super::words(segments).collect();
        let edit = |Place { edit, of }: &Place| {
            let speaker = match *of {
                Of::Segment(index) => &segments[index].speaker,
                Of::Word(index) => &words[index].speaker,
                Of::Other(index) => &others[index].speaker,
            };
            let was_named = edit.text.is_empty();
            if speaker.is_none() && !(was_named && removes) {
                return None;
            }
            let quoted = serde_json::Value::from(speaker.as_deref());
            Some(Edit { range: edit.range.clone(), text: format!("{}{quoted}", edit.text) })
        };
        let mut text = edited(&self.text, self.places.iter().filter_map(edit).collect());
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text
    }
}

/// Reads the entries of lists and notes the places of their speakers.
struct Reader<'t, 'f> {
    text: &'t str,
    milliseconds: bool,
    faults: &'f mut Faults,
    places: Vec<Place>,
}

impl<'t> Reader<'t, '_> {
    fn read(&mut self, lists: &Lists<'_, 't>) -> Result<Parsed> {
        let mut count = 0;
        let mut segments: Vec<(Entry<'t>, Vec<Entry<'t>>)> = Vec::new();
        for value in lists.segments {
            let last = segments.last().map_or(0, |(segment, _)| segment.times.at);
            let Some(object) = self.object(value, last) else { continue };
            self.place(object, Of::Segment(segments.len()));
            let words = self.words_of(object, &mut count);
            segments.push((self.entry(object, &["text"], !words.is_empty()), words));
        }
        let (mut words, mut further) = (Vec::new(), lists.others.iter().collect::<Vec<_>>());
        if count == 0 {
            words = self.list(lists.words, Of::Word);
        } else if lists.words.len() == count {
            // WhisperX lists all words a second time.
            for (index, value) in lists.words.iter().enumerate() {
                value.object().into_iter().for_each(|object| self.place(object, Of::Word(index)));
            }
        } else {
            further.extend(lists.words);
        }
        let others = self.list(further, Of::Other);
        let timed =
            segments.iter().any(|(segment, words)| segment.is_timed() || words.iter().any(Entry::is_timed));
        let is_empty = segments.is_empty() && words.is_empty();
        ensure!(
            timed || is_empty || words.iter().any(Entry::is_timed),
            "JSON whose segments and words have no times"
        );

        let mut segments = self.segments(segments);
        let words = self.complete(words, None);
        if segments.is_empty() {
            segments = sentences(words);
        } else {
            distributed(&mut segments, words);
        }
        Ok(Parsed { segments, others: self.complete(others, None) })
    }

    /// The entries of a list beside the segments.
    fn list<'v>(
        &mut self,
        values: impl IntoIterator<Item = &'v Value<'t>>,
        of: fn(usize) -> Of,
    ) -> Vec<Entry<'t>>
    where
        't: 'v,
    {
        let mut entries: Vec<Entry<'t>> = Vec::new();
        for value in values {
            let last = entries.last().map_or(0, |entry| entry.times.at);
            let Some(object) = self.object(value, last) else { continue };
            self.place(object, of(entries.len()));
            entries.push(self.entry(object, &["word", "text"], false));
        }
        entries
    }

    /// An entry of a list. `last` is the place of the entry before it.
    fn object<'v>(&mut self, value: &'v Value<'t>, last: usize) -> Option<&'v Object<'t>> {
        let object = value.object();
        if object.is_none() {
            self.faults.note(Fault::NotAnObject, last);
        }
        object
    }

    fn place(&mut self, object: &Object<'t>, of: Of) {
        let named = object.get("speaker").is_some_and(|speaker| !matches!(speaker, Value::Other));
        if let Some(edit) = object.assignment(self.text, "speaker") {
            if named {
                self.faults.note(Fault::AlreadyNamed, edit.range.start);
            }
            self.places.push(Place { edit, of });
        }
    }

    fn entry(&mut self, object: &Object<'t>, keys: &[&str], has_words: bool) -> Entry<'t> {
        let text = keys.iter().find_map(|key| object.get(key)?.text());
        if text.is_none() && !has_words {
            self.faults.note(Fault::NoText, object.at);
        }
        Entry { times: times(object, self.milliseconds), text: text.unwrap_or_default() }
    }

    /// The words of a segment, or those that whisper.cpp's tokens make up. `count` is the number of words so far.
    fn words_of(&mut self, segment: &Object<'t>, count: &mut usize) -> Vec<Entry<'t>> {
        let list = |key| segment.get(key).and_then(Value::list).unwrap_or_default();
        let mut words: Vec<Entry<'t>> = Vec::new();
        for value in list("words") {
            let last = words.last().map_or(segment.at, |word| word.times.at);
            let Some(object) = self.object(value, last) else { continue };
            self.place(object, Of::Word(*count + words.len()));
            words.push(self.entry(object, &["word", "text"], false));
        }
        if words.is_empty() {
            // The tokens of openai-whisper are numbers.
            for token in list("tokens").iter().filter_map(Value::object) {
                let (times, text) =
                    (times(token, self.milliseconds), token.get("text").and_then(Value::text));
                // Markers such as `[_BEG_]` belong to no word.
                let Some(text) = text.filter(|text| !text.starts_with("[_")) else { continue };
                match words.last_mut().filter(|_| !text.starts_with(' ')) {
                    Some(word) => {
                        word.text.to_mut().push_str(&text);
                        word.times.end = times.end.or(word.times.end);
                    }
                    None => words.push(Entry { times, text }),
                }
                self.place(token, Of::Word(*count + words.len() - 1));
            }
        }
        *count += words.len();
        words
    }

    /// Segments with complete times.
    fn segments(&mut self, raw: Vec<(Entry<'t>, Vec<Entry<'t>>)>) -> Vec<Segment> {
        let times: Vec<Times> = raw
            .iter()
            .map(|(Entry { times, .. }, words)| Times {
                start: times.start.or(words.first().and_then(|word| word.times.start)),
                end: times.end.or(words.last().and_then(|word| word.times.end)),
                at: times.at,
            })
            .collect();
        let spans = spans(&times, None, self.faults);
        let texts: Vec<&str> = raw.iter().map(|(entry, _)| &*entry.text).collect();
        let labels = labels::lengths(&texts);
        let mut segments = Vec::with_capacity(raw.len());
        for (((entry, words), span), label) in raw.into_iter().zip(spans).zip(labels) {
            let words = self.complete(words, Some(span));
            // Words include the label, so text and words must stay together.
            let label = label.filter(|_| words.is_empty());
            if label.is_some() {
                self.faults.note(Fault::AlreadyNamed, entry.times.at);
            }
            segments.push(Segment {
                span,
                text: entry.text[label.unwrap_or(0)..].to_owned(),
                words,
                speaker: None,
            });
        }
        segments
    }

    fn complete(&mut self, entries: Vec<Entry<'t>>, within: Option<Span>) -> Vec<Word> {
        let times: Vec<Times> = entries.iter().map(|entry| entry.times).collect();
        let word =
            |(entry, span): (Entry<'t>, Span)| Word { span, text: entry.text.into_owned(), speaker: None };
        entries.into_iter().zip(spans(&times, within, self.faults)).map(word).collect()
    }
}

/// Times as `start` and `end`, as a pair `timestamp`, or as whisper.cpp's `offsets` in milliseconds.
fn times(object: &Object<'_>, milliseconds: bool) -> Times {
    let unit = if milliseconds { 0.001 } else { 1.0 };
    let pair = object.get("timestamp").and_then(Value::list).unwrap_or_default();
    let inner = |key: &str, side: &str| object.get(key)?.object()?.get(side);
    let find = |key: &str, index: usize, side: &str| {
        let own = object.get(key).or(pair.get(index)).and_then(|value| time(value, unit));
        let offset = || time(inner("offsets", side)?, 0.001);
        own.or_else(offset).or_else(|| time(inner("timestamps", side)?, 1.0))
    };
    Times { start: find("start", 0, "from"), end: find("end", 1, "to"), at: object.at }
}

/// A number, or a text such as `7.5` or `00:00:07,500`.
fn time(value: &Value<'_>, unit: f64) -> Option<f64> {
    let number = match value.number() {
        Some(number) => number * unit,
        None => {
            let text = value.text()?;
            clock(&text).or_else(|| Some(text.trim().parse::<f64>().ok()? * unit))?
        }
    };
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::{Faults, Segment, Span, Whisper, Word};

    fn parse(text: &str) -> (Whisper, Vec<Segment>, Vec<Word>, Vec<String>) {
        let mut faults = Faults::default();
        let (whisper, parsed) = Whisper::parse(text, &mut faults).unwrap();
        (whisper, parsed.segments, parsed.others, faults.sentences(text).collect())
    }

    fn words(segments: &[Segment]) -> Vec<(&str, f64, f64)> {
        let words = segments.iter().flat_map(|segment| &segment.words);
        words.map(|word| (word.text.as_str(), word.span.start, word.span.end)).collect()
    }

    #[test]
    fn words_without_times_lie_between_their_neighbors() {
        let text = r#"{"segments": [{"start": 1.0, "end": 4.0, "text": "in 2024 we did",
            "words": [{"word": "in", "start": 1.0, "end": 1.5}, {"word": "2024"},
                      {"word": "we", "start": 2.0, "end": NaN}, {"word": "did", "start": null}, {}, 7]}]}"#;
        let (_, segments, _, warnings) = parse(text);
        assert_eq!(
            words(&segments),
            [("in", 1.0, 1.5), ("2024", 1.5, 2.0), ("we", 2.0, 4.0), ("did", 4.0, 4.0), ("", 4.0, 4.0)]
        );
        let kinds = ["NaN", "no times", "start or end", "no text", "is not an object"];
        assert_eq!(warnings.len(), kinds.len(), "{warnings:?}");
        for kind in kinds {
            assert!(warnings.iter().any(|warning| warning.contains(kind)), "{kind}: {warnings:?}");
        }
    }

    #[test]
    fn tokens_of_whisper_cpp_make_words() {
        let text = r#"{"transcription": [{"offsets": {"from": 0, "to": 900}, "text": " Hello, you", "tokens": [
            {"text": "[_BEG_]", "offsets": {"from": 0, "to": 0}},
            {"text": " Hel", "offsets": {"from": 0, "to": 200}}, {"text": "lo", "offsets": {"from": 200, "to": 400}},
            {"text": ",", "offsets": {"from": 400, "to": 450}}, {"text": " you", "offsets": {"from": 500, "to": 900}}]}]}"#;
        assert_eq!(words(&parse(text).1), [(" Hello,", 0.0, 0.45), (" you", 0.5, 0.9)]);
    }

    #[test]
    fn times_have_many_forms() {
        for times in [
            r#""start": 7.5, "end": 9"#,
            r#""start": "7.5", "end": "00:00:09,000""#,
            r#""timestamp": [7.5, 9.0]"#,
            r#""offsets": {"from": 7500, "to": 9000}"#,
            r#""timestamps": {"from": "00:00:07,500", "to": "00:00:09,000"}"#,
        ] {
            let (_, segments, _, warnings) = parse(&format!(r#"[{{{times}, "text": "a"}}]"#));
            assert_eq!((segments[0].span, warnings.len()), (Span { start: 7.5, end: 9.0 }, 0), "{times}");
        }
        let text = r#"{"audio_duration": 9, "utterances": null, "words": [{"text": "a", "start": 7500, "end": 9000}]}"#;
        assert_eq!(words(&parse(text).1), [("a", 7.5, 9.0)]);
        let text = r#"{"chunks": [{"timestamp": [1.0, null], "text": "a b"}, {"timestamp": [2.0, null], "text": "c"}]}"#;
        let (_, segments, _, warnings) = parse(text);
        assert_eq!(segments.iter().map(|segment| segment.span.end).collect::<Vec<_>>(), [2.0, 2.0]);
        assert!(warnings[0].ends_with("(line 1, column 13, and 1 more)"), "{warnings:?}");
    }

    #[test]
    fn words_alone_are_segments_of_their_own() {
        let list = r#"[{"word": "Hi.", "start": 1, "end": 2}, {"word": "You", "start": 2, "end": 3}]"#;
        for text in [
            list.to_owned(),
            format!(r#"{{"words": {list}}}"#),
            list.replace("}, {", "}\n{")[1..].replace(']', ""),
        ] {
            let segments = parse(&text).1;
            assert_eq!(words(&segments), [("Hi.", 1.0, 2.0), ("You", 2.0, 3.0)], "{text}");
            assert_eq!((segments.len(), segments[1].text.as_str()), (2, "You"));
        }
        let chunks =
            r#"{"chunks": [{"text": " Hi", "timestamp": [1, 2]}, {"text": " you", "timestamp": [2, 3]}]}"#;
        assert_eq!(words(&parse(chunks).1), [(" Hi", 1.0, 2.0), (" you", 2.0, 3.0)]);
    }

    #[test]
    fn only_the_speaker_changes() {
        let text = "{ \"z\": 1.50, \"segments\" : [\r\n\t{\"start\": 0, \"end\": 1e0, \"text\": \"a\\u00e9\"},\r\n\t\
                    {\"start\": 1, \"speaker\": \"SPEAKER_07\", \"end\": 2, \"text\": \"b\", \"words\": [{\"word\":\"b\",\"start\":1,\"end\":2}]}\r\n], \
                    \"id\": 12345678901234567890, \"a\": null}";
        let (whisper, mut segments, others, warnings) = parse(text);
        // A name that was there goes if there is no new one.
        let unnamed = text.replace("\"SPEAKER_07\"", "null");
        assert_eq!(whisper.render(&segments, &others, true), format!("{unnamed}\n"));
        segments[0].speaker = Some("A \"x\"".to_owned());
        segments[1].speaker = Some("B".to_owned());
        segments[1].words[0].speaker = Some("C".to_owned());
        let expected = text
            .replace("\\u00e9\"}", "\\u00e9\", \"speaker\": \"A \\\"x\\\"\"}")
            .replace("SPEAKER_07", "B")
            .replace("\"end\":2}", "\"end\":2,\"speaker\":\"C\"}");
        assert_eq!(whisper.render(&segments, &others, true), format!("{expected}\n"));
        assert_eq!(warnings, ["a speaker is already named: the name was replaced (line 3, column 26)"]);
    }

    #[test]
    fn names_in_the_text_of_segments_are_not_read() {
        let text = r#"[{"start": 0, "end": 1, "text": " SPEAKER_00: Hello"}, {"start": 1, "end": 2, "text": "you"}]"#;
        assert_eq!(parse(text).1[0].text, "Hello");
    }

    #[test]
    fn other_json_is_refused() {
        for (text, reason) in [
            ("{\"turns\": []}", "without a list `segments`"),
            ("[{\"text\": \"a\"}]", "have no times"),
            ("{\"words\": [{\"word\": \"a\", \"start\": NaN}]}", "have no times"),
            ("{", "incomplete JSON"),
        ] {
            let error = format!("{:#}", Whisper::parse(text, &mut Faults::default()).unwrap_err());
            assert!(error.contains(reason), "{error}");
        }
        assert!(parse("{\"segments\": []}").1.is_empty(), "nobody said anything");
    }
}
