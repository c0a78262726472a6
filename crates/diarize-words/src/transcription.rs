//! The result: what was said, and when.

use std::num::NonZeroUsize;

use diarize::Span;

/// A sentence or a part of one.
///
/// The last four fields describe the text of the whole window of 30 s in which the segment was found, so neighbors share them.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Segment {
    /// In seconds from the first sample.
    pub start: f64,
    /// In seconds from the first sample.
    pub end: f64,
    /// The text, as the model spells it, with the space before it.
    pub text: String,
    /// The words of the text, in order.
    pub words: Vec<Word>,
    /// Mean log-probability of the tokens (`avg_logprob`). Below -1, the text is a guess.
    pub log_probability: f64,
    /// Probability that nobody speaks (`no_speech_prob`).
    pub no_speech: f64,
    /// The temperature at which the text was sampled: 0 unless the text looked wrong there.
    pub temperature: f64,
    /// Length of the text divided by its length after compression (`compression_ratio`). Above 2.4, the text repeats itself.
    pub compression: f64,
}

/// A word with its punctuation. It can end when it starts, if the model finds no duration for it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Word {
    /// In seconds from the first sample.
    pub start: f64,
    /// In seconds from the first sample.
    pub end: f64,
    /// The word, with the space before it.
    pub text: String,
    /// Mean probability of its tokens.
    pub probability: f64,
}

impl Word {
    /// When the word is said.
    pub fn span(&self) -> Span {
        Span { start: self.start, end: self.end }
    }
}

impl Segment {
    /// The segment of a part that begins after `start` seconds of a recording and is `length` seconds long, with times from the
    /// start of the recording. Whisper sometimes gives times after the end of a part; they become the end.
    #[must_use]
    pub fn of_part(mut self, start: f64, length: f64) -> Self {
        let words = self.words.iter_mut().flat_map(|word| [&mut word.start, &mut word.end]);
        for time in words.chain([&mut self.start, &mut self.end]) {
            *time = time.min(length) + start;
        }
        self
    }
}

/// How to transcribe. The default detects the language and decodes greedily.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// The language that is spoken, as a code such as `en` or `de`. `None` detects it in each call.
    pub language: Option<String>,
    /// Translate to English.
    pub translate: bool,
    /// Text that could precede each part: it shows the spelling of names, and the style. Together with [`Self::vocabulary`], it
    /// can have 223 tokens; a word has one or two.
    pub prompt: Option<String>,
    /// Words that may occur, such as names. The decoder sees them before each 30 s, and is more likely to spell them that way.
    pub vocabulary: Vec<String>,
    /// Number of beams: texts that are followed at a time, of which the likeliest becomes the result. `None` decodes greedily;
    /// 5 is slower and often slightly better. Time and memory grow with the number.
    pub beam: Option<NonZeroUsize>,
}
