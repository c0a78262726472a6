//! The result: what was said, and when.

use std::num::NonZeroUsize;

/// A sentence or a part of one.
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
    /// Mean log-probability of the tokens. Below -1, the text is a guess.
    pub log_probability: f64,
    /// Probability that nobody speaks.
    pub no_speech: f64,
    /// The temperature at which the text was sampled: 0 unless the text looked wrong there.
    pub temperature: f64,
    /// Length of the text divided by its length after compression. Above 2.4, the text repeats itself.
    pub compression: f64,
}

/// A word with its punctuation.
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

/// How to transcribe.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// The language that is spoken, as a code such as `en` or `de`. `None` detects it.
    pub language: Option<String>,
    /// Translate to English.
    pub translate: bool,
    /// Text that could precede the recording: it shows the spelling of names, and the style.
    pub prompt: Option<String>,
    /// Words that may occur, such as names. The decoder sees them before each 30 s, and is more likely to spell them so.
    pub vocabulary: Vec<String>,
    /// How many texts are followed at a time. `None` follows the likeliest one; 5 is slower and often slightly better.
    pub beam: Option<NonZeroUsize>,
}
