//! Decodes windows of at most 30 s: token by token or by beam search, and again with a higher temperature if the text looks
//! wrong.
//!
//! Source: `whisper.decoding.DecodingTask` and `whisper.transcribe.transcribe.decode_with_fallback`.

mod beam;
mod rules;
mod sampled;

use std::io::Write;

use candle_core::Tensor;
use candle_transformers::models::whisper::{
    COMPRESSION_RATIO_THRESHOLD, LOGPROB_THRESHOLD, NO_SPEECH_THRESHOLD, TEMPERATURES,
};
use diarize_kernels::log_sum_exp::log_sum_exp;
use flate2::{Compression, write::ZlibEncoder};
use rayon::prelude::*;

use crate::{
    Error, Result,
    model::{Decoder, Heard},
    tokens::Tokens,
};

/// What the decoder is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// What was said before, and the start tokens.
    tokens: Vec<u32>,
    /// Index of the start token.
    start: usize,
    /// The most tokens of an answer.
    longest: usize,
}

/// What the decoder answers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The tokens, with times and without the end.
    pub tokens: Vec<u32>,
    /// Mean log-probability of the tokens and the end.
    pub log_probability: f64,
    /// Probability that nobody speaks.
    pub no_speech: f64,
    /// The temperature of the last attempt.
    pub temperature: f64,
    /// Length of the text divided by its length after compression.
    pub compression: f64,
}

impl Question {
    /// `before` are the tokens of words that may occur, and of what was said before, of which the last are kept; `start` are
    /// those that start the answer. A decoder sees `text_positions` tokens: half of them can be said before, and half the
    /// answer.
    pub fn new(tokens: &Tokens, before: [&[u32]; 2], start: &[u32], text_positions: usize) -> Self {
        let half = text_positions / 2;
        let [vocabulary, previous] = before;
        let room = half.saturating_sub(1 + vocabulary.len());
        let kept = [vocabulary, &previous[previous.len().saturating_sub(room)..]].concat();
        let prompt = if kept.is_empty() {
            Vec::new()
        } else {
            [&[tokens.start_of_previous], kept.as_slice()].concat()
        };
        let all = [&prompt, start].concat();
        Self {
            start: prompt.len(),
            longest: half.min((text_positions + 1).saturating_sub(all.len())),
            tokens: all,
        }
    }
}

impl Answer {
    fn new(tokens: &Tokens, found: Found, temperature: f64) -> Result<Self> {
        let text = tokens.decode(&found.tokens)?;
        Ok(Self {
            log_probability: found.sum / (found.tokens.len() + 1) as f64,
            tokens: found.tokens,
            no_speech: found.no_speech,
            temperature,
            compression: compression(text.trim()),
        })
    }

    /// Whether nobody speaks in the segment.
    pub fn is_silence(&self) -> bool {
        self.no_speech > NO_SPEECH_THRESHOLD && self.log_probability <= LOGPROB_THRESHOLD
    }

    /// Whether to try again with a higher temperature.
    fn looks_wrong(&self) -> bool {
        let is_unlikely = self.log_probability < LOGPROB_THRESHOLD;
        let is_silence = is_unlikely && self.no_speech > NO_SPEECH_THRESHOLD;
        !is_silence && (is_unlikely || self.compression > COMPRESSION_RATIO_THRESHOLD)
    }
}

/// Tokens with the sum of their log-probabilities and that of the end.
struct Found {
    tokens: Vec<u32>,
    sum: f64,
    no_speech: f64,
}

/// Questions about windows.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What is heard in all windows.
    pub heard: &'a Heard,
    /// One about each window.
    pub questions: &'a [Question],
}

/// Answers each question at the lowest temperature at which the text looks right, or at the highest. At temperature 0, `beam`
/// texts are followed at a time in each window.
///
/// # Errors
/// The decoder fails or produces a non-finite value.
pub fn decode(decoder: &Decoder, tokens: &Tokens, asked: Asked<'_>, beam: usize) -> Result<Vec<Answer>> {
    let [coldest, warmer @ ..] = TEMPERATURES;
    let all: Vec<usize> = (0..asked.questions.len()).collect();
    let mut answers = if beam > 1 {
        let search =
            |&window| Answer::new(tokens, beam::search(decoder, tokens, asked, window, beam)?, coldest);
        all.par_iter().map(search).collect::<Result<Vec<_>>>()?
    } else {
        attempt(decoder, tokens, asked, &all, coldest)?
    };
    for temperature in warmer {
        let wrong: Vec<usize> = all.iter().copied().filter(|&window| answers[window].looks_wrong()).collect();
        for (&window, answer) in wrong.iter().zip(attempt(decoder, tokens, asked, &wrong, temperature)?) {
            answers[window] = answer;
        }
    }
    Ok(answers)
}

/// Answers the questions about some windows, which are in order, at a temperature.
///
/// # Errors
/// As [`decode`].
pub fn attempt(
    decoder: &Decoder,
    tokens: &Tokens,
    asked: Asked<'_>,
    windows: &[usize],
    temperature: f64,
) -> Result<Vec<Answer>> {
    let found = sampled::texts(decoder, tokens, asked, windows, temperature)?;
    found.into_par_iter().map(|found| Answer::new(tokens, found, temperature)).collect()
}

/// The probability that nobody speaks, from the logits after the start token.
fn no_speech(tokens: &Tokens, logits: &[f32]) -> f64 {
    (f64::from(logits[tokens.no_speech as usize]) - log_sum_exp(logits)).exp()
}

/// The logits after some of the decoder's outputs.
fn logits(decoder: &Decoder, output: &Tensor, rows: &[u32]) -> Result<Vec<Vec<f32>>> {
    let output = output.index_select(&Tensor::new(rows, output.device())?, 0)?;
    let logits: Vec<Vec<f32>> = decoder.logits(&output)?.to_vec2()?;
    match logits.iter().flatten().all(|logit| logit.is_finite()) {
        true => Ok(logits),
        false => Err(Error::NonFiniteOutput { network: "decoder" }),
    }
}

fn compression(text: &str) -> f64 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    text.len() as f64 / compressed.expect("memory takes any bytes").len() as f64
}

/// The tokens with the largest logits, except forbidden ones. Ties go to the first token.
fn likeliest(logits: &[f32], count: usize) -> Vec<u32> {
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(count + 1);
    for (token, &logit) in (0..).zip(logits) {
        if logit > best.get(count - 1).map_or(f32::NEG_INFINITY, |(least, _)| *least) {
            let at = best.partition_point(|&(other, _)| other >= logit);
            best.insert(at, (logit, token));
            best.truncate(count);
        }
    }
    best.into_iter().map(|(_, token)| token).collect()
}

#[cfg(test)]
mod tests {
    use super::likeliest;

    #[test]
    fn the_largest_logits_come_first() {
        let logits = [0.5, f32::NEG_INFINITY, 2.0, 0.5, 1.0, 2.0];
        assert_eq!(likeliest(&logits, 3), [2, 5, 4]);
        assert_eq!(likeliest(&logits, 4), [2, 5, 4, 0]);
        assert_eq!(likeliest(&logits, 6), [2, 5, 4, 0, 3]);
    }
}
