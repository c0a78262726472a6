//! Where JSON of speech recognizers lists its segments and words.
//!
//! | from | segments | words |
//! |---|---|---|
//! | openai-whisper, faster-whisper, WhisperX, whisper-timestamped | `segments`, or a bare list | `words` of a segment |
//! | OpenAI's `verbose_json` | `segments` | `words` beside them |
//! | transformers, insanely-fast-whisper | `chunks`, `speakers` | `chunks` of single words |
//! | whisper.cpp | `transcription` | `tokens` of a segment |
//! | AssemblyAI | `utterances` | `words`, in milliseconds |

use anyhow::{Context, Result};

use super::json::{Object, Value};

/// Keys of lists of segments.
const SEGMENTS: [&str; 4] = ["segments", "transcription", "chunks", "utterances"];
/// Keys of lists of words beside the segments.
const WORDS: [&str; 2] = ["words", "word_segments"];
/// Keys of further lists whose entries have a speaker.
const OTHERS: [&str; 1] = ["speakers"];

/// The lists of a document.
#[derive(Default)]
pub(super) struct Lists<'v, 't> {
    pub(super) segments: &'v [Value<'t>],
    pub(super) words: &'v [Value<'t>],
    pub(super) others: &'v [Value<'t>],
    /// Whether times are in milliseconds.
    pub(super) milliseconds: bool,
}

impl<'v, 't> Lists<'v, 't> {
    pub(super) fn of(document: &'v Value<'t>) -> Result<Self> {
        let lists = match document {
            Value::List(list) if list.iter().any(|value| has(value, "word")) => {
                Some(Self { words: list, ..Self::default() })
            }
            Value::List(list) => Some(Self { segments: list, ..Self::default() }),
            Value::Object(fields) => Self::of_object(fields),
            _ => None,
        };
        lists.context(
            "JSON without a list `segments` (Whisper, WhisperX), `transcription` (whisper.cpp), `chunks` (transformers) \
             or `words`",
        )
    }

    fn of_object(fields: &'v Object<'t>) -> Option<Self> {
        let find = |keys: &[&str]| keys.iter().find_map(|key| fields.get(key)?.list());
        let (segments, words) = (find(&SEGMENTS), find(&WORDS));
        segments.or(words)?;
        let mut lists = Self {
            segments: segments.unwrap_or_default(),
            words: words.unwrap_or_default(),
            others: find(&OTHERS).unwrap_or_default(),
            milliseconds: fields.get("audio_duration").is_some(), // AssemblyAI
        };
        let single = |value: &Value<'_>| {
            let text = value.object().and_then(|chunk| chunk.get("text")?.text());
            text.is_some_and(|text| !text.trim().contains(char::is_whitespace))
        };
        if lists.words.is_empty() && fields.get("chunks").is_some() && lists.segments.iter().all(single) {
            (lists.segments, lists.words) = (&[], lists.segments);
        }
        Some(lists)
    }
}

fn has(value: &Value<'_>, key: &str) -> bool {
    value.object().is_some_and(|object| object.get(key).is_some())
}
