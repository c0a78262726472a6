//! Decodes one segment of at most 30 s: token by token or by beam search, and again with a higher temperature if the text
//! looks wrong.
//!
//! Source: `whisper.decoding.DecodingTask` and `whisper.transcribe.transcribe.decode_with_fallback`.

mod beam;
pub mod rules;

use std::io::Write;

use candle_core::{Device, Tensor};
use candle_transformers::{
    generation::LogitsProcessor,
    models::whisper::{COMPRESSION_RATIO_THRESHOLD, LOGPROB_THRESHOLD, NO_SPEECH_THRESHOLD, TEMPERATURES},
};
use flate2::{Compression, write::ZlibEncoder};

use self::rules::log_sum_exp;
use crate::{
    Error, Result,
    model::{Cache, Decoder, Heard},
    tokens::Tokens,
};

/// Makes random tokens the same in every run.
const SEED: u64 = 0;

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

/// Answers a question at the lowest temperature at which the text looks right, or at the highest. At temperature 0, `beam`
/// texts are followed at a time.
///
/// # Errors
/// The decoder fails or produces a non-finite value.
pub fn decode(
    decoder: &Decoder,
    tokens: &Tokens,
    heard: &Heard,
    question: &Question,
    beam: usize,
) -> Result<Answer> {
    let [coldest, warmer @ ..] = TEMPERATURES;
    let mut answer = if beam > 1 {
        Answer::new(tokens, beam::search(decoder, tokens, heard, question, beam)?, coldest)?
    } else {
        attempt(decoder, tokens, heard, question, coldest)?
    };
    for temperature in warmer {
        if !answer.looks_wrong() {
            break;
        }
        answer = attempt(decoder, tokens, heard, question, temperature)?;
    }
    Ok(answer)
}

/// Answers a question at a temperature.
///
/// # Errors
/// As [`decode`].
pub fn attempt(
    decoder: &Decoder,
    tokens: &Tokens,
    heard: &Heard,
    question: &Question,
    temperature: f64,
) -> Result<Answer> {
    Answer::new(tokens, sample(decoder, tokens, heard, question, temperature)?, temperature)
}

fn sample(
    decoder: &Decoder,
    tokens: &Tokens,
    heard: &Heard,
    question: &Question,
    temperature: f64,
) -> Result<Found> {
    // At temperature 0, this is the most likely token.
    let mut sampler = LogitsProcessor::new(SEED, Some(temperature), None);
    let mut cache = Cache::default();
    let mut next = question.tokens.clone();
    let mut found = Found { tokens: Vec::new(), sum: 0.0, no_speech: 0.0 };
    for step in 0..question.longest {
        let (output, _) = decoder.forward(&next, heard, &mut cache, &[])?;
        if step == 0 {
            found.no_speech = no_speech(decoder, tokens, &output, question)?;
        }
        let mut logits = logits(decoder, &output, next.len() - 1)?;
        rules::apply(tokens, &found.tokens, &mut logits);
        let token = sampler.sample(&Tensor::new(logits.as_slice(), &Device::Cpu)?)?;
        found.sum += f64::from(logits[token as usize]) - log_sum_exp(&logits);
        if token == tokens.end {
            break;
        }
        found.tokens.push(token);
        next = vec![token];
    }
    Ok(found)
}

/// The probability that nobody speaks, from the decoder's output for a question.
fn no_speech(decoder: &Decoder, tokens: &Tokens, output: &Tensor, question: &Question) -> Result<f64> {
    let logits = logits(decoder, output, question.start)?;
    Ok((f64::from(logits[tokens.no_speech as usize]) - log_sum_exp(&logits)).exp())
}

/// The logits after one of the decoder's outputs.
fn logits(decoder: &Decoder, output: &Tensor, row: usize) -> Result<Vec<f32>> {
    let logits: Vec<f32> = decoder.logits(&output.narrow(0, row, 1)?)?.flatten_all()?.to_vec1()?;
    match logits.iter().all(|logit| logit.is_finite()) {
        true => Ok(logits),
        false => Err(Error::NonFiniteOutput { network: "decoder" }),
    }
}

fn compression(text: &str) -> f64 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    text.len() as f64 / compressed.expect("memory takes any bytes").len() as f64
}
