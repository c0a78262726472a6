//! Decodes one segment of at most 30 s: token by token, and again with a higher temperature if the text looks wrong.
//!
//! Source: `whisper.decoding.DecodingTask` and `whisper.transcribe.transcribe.decode_with_fallback`.

pub mod rules;

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};

use self::rules::log_sum_exp;
use crate::{
    Error, Result,
    model::{Cache, Decoder, Heard},
    tokens::Tokens,
};

const TEMPERATURES: [f64; 6] = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0];
/// Text that compresses better than this repeats itself.
const MOST_COMPRESSION: f64 = 2.4;
/// Text with a lower mean log-probability of its tokens is a guess.
const LEAST_LOG_PROBABILITY: f64 = -1.0;
/// Above this probability nobody speaks, unless the text is likely.
const MOST_NO_SPEECH: f64 = 0.6;

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
    /// `previous` are the tokens of what was said before, and `start` those that start the answer. A decoder sees
    /// `text_positions` tokens: half of them can be said before, and half the answer.
    pub fn new(tokens: &Tokens, previous: &[u32], start: &[u32], text_positions: usize) -> Self {
        let half = text_positions / 2;
        let kept = &previous[previous.len().saturating_sub(half.saturating_sub(1))..];
        let prompt = if kept.is_empty() { Vec::new() } else { [&[tokens.start_of_previous], kept].concat() };
        let all = [&prompt, start].concat();
        Self {
            start: prompt.len(),
            longest: half.min((text_positions + 1).saturating_sub(all.len())),
            tokens: all,
        }
    }
}

impl Answer {
    /// Whether nobody speaks in the segment.
    pub fn is_silence(&self) -> bool {
        self.no_speech > MOST_NO_SPEECH && self.log_probability <= LEAST_LOG_PROBABILITY
    }

    /// Whether to try again with a higher temperature.
    fn looks_wrong(&self) -> bool {
        let is_unlikely = self.log_probability < LEAST_LOG_PROBABILITY;
        let is_silence = is_unlikely && self.no_speech > MOST_NO_SPEECH;
        !is_silence && (is_unlikely || self.compression > MOST_COMPRESSION)
    }
}

/// Answers a question at the lowest temperature at which the text looks right, or at the highest.
///
/// # Errors
/// The decoder fails or produces a non-finite value.
pub fn decode(decoder: &Decoder, tokens: &Tokens, heard: &Heard, question: &Question) -> Result<Answer> {
    let [coldest, warmer @ ..] = TEMPERATURES;
    let mut random = fastrand::Rng::with_seed(0);
    let mut answer = sample(decoder, tokens, heard, question, coldest, &mut random)?;
    for temperature in warmer {
        if !answer.looks_wrong() {
            break;
        }
        answer = sample(decoder, tokens, heard, question, temperature, &mut random)?;
    }
    Ok(answer)
}

fn sample(
    decoder: &Decoder,
    tokens: &Tokens,
    heard: &Heard,
    question: &Question,
    temperature: f64,
    random: &mut fastrand::Rng,
) -> Result<Answer> {
    let mut cache = Cache::default();
    let mut next = question.tokens.clone();
    let mut sampled = Vec::new();
    let (mut sum, mut no_speech) = (0.0, 0.0);
    for step in 0..question.longest {
        let (output, _) = decoder.forward(&next, heard, &mut cache, &[])?;
        if step == 0 {
            let logits = logits(decoder, &output, question.start)?;
            no_speech = (f64::from(logits[tokens.no_speech as usize]) - log_sum_exp(&logits)).exp();
        }
        let mut logits = logits(decoder, &output, next.len() - 1)?;
        rules::apply(tokens, &sampled, &mut logits);
        let token = match temperature > 0.0 {
            true => draw(&logits, temperature, random),
            false => likeliest(&logits),
        };
        sum += f64::from(logits[token as usize]) - log_sum_exp(&logits);
        if token == tokens.end {
            break;
        }
        sampled.push(token);
        next = vec![token];
    }
    let text = tokens.decode(&sampled)?;
    Ok(Answer {
        log_probability: sum / (sampled.len() + 1) as f64,
        tokens: sampled,
        no_speech,
        temperature,
        compression: compression(text.trim()),
    })
}

/// The logits after one of the decoder's outputs.
fn logits(decoder: &Decoder, output: &candle_core::Tensor, row: usize) -> Result<Vec<f32>> {
    let logits: Vec<f32> = decoder.logits(&output.narrow(0, row, 1)?)?.flatten_all()?.to_vec1()?;
    match logits.iter().all(|logit| logit.is_finite()) {
        true => Ok(logits),
        false => Err(Error::NonFiniteOutput { network: "decoder" }),
    }
}

/// The most likely token; the lowest of equally likely ones.
fn likeliest(logits: &[f32]) -> u32 {
    let best =
        (0..logits.len()).reduce(|best, token| if logits[token] > logits[best] { token } else { best });
    best.unwrap_or_default() as u32
}

/// A random token, by the probabilities at a temperature.
fn draw(logits: &[f32], temperature: f64, random: &mut fastrand::Rng) -> u32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> =
        logits.iter().map(|logit| (f64::from(logit - largest) / temperature).exp()).collect();
    let mut rest = random.f64() * weights.iter().sum::<f64>();
    let drawn = weights.iter().position(|weight| {
        rest -= weight;
        rest < 0.0
    });
    drawn.map_or_else(|| likeliest(logits), |token| token as u32)
}

fn compression(text: &str) -> f64 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let compressed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    text.len() as f64 / compressed.expect("memory takes any bytes").len() as f64
}
