//! Texts that grow token by token, those of several windows at the same time: the decoder's weights are then read once for
//! the next token of all of them.
//!
//! Source: `whisper.decoding.GreedyDecoder`.

use candle_core::{Device, Tensor};
use candle_transformers::generation::LogitsProcessor;
use rayon::prelude::*;

use super::{Asked, Found, logits, no_speech, rules};
use crate::{
    Result,
    model::{Cache, Decoder, Heard},
    tokens::Tokens,
};

/// Makes random tokens the same in every run.
const SEED: u64 = 0;

/// The text of a window.
struct Text {
    /// Index of the window.
    window: usize,
    /// The most tokens.
    longest: usize,
    sampler: LogitsProcessor,
    found: Found,
}

/// The tokens of several questions, padded in front to equal length.
struct Padded {
    /// Those of all questions, one question after another.
    tokens: Vec<u32>,
    /// Index of the start token of each question among them.
    starts: Vec<u32>,
    /// How many tokens precede each question.
    padding: Vec<usize>,
}

/// The answer to each question.
///
/// A GPU decodes all windows at the same time. The CPU decodes those with equally long questions at the same time, so that no
/// padding changes how their sums are rounded.
pub fn texts(
    decoder: &Decoder,
    tokens: &Tokens,
    asked: &[Asked<'_>],
    temperature: f64,
) -> Result<Vec<Found>> {
    let length = |&window: &usize| asked[window].question.tokens.len();
    let mut windows: Vec<usize> = (0..asked.len()).collect();
    windows.sort_by_key(length);
    let mut texts = Vec::new();
    for windows in windows.chunk_by(|a, b| !decoder.is_on_cpu() || length(a) == length(b)) {
        texts.extend(together(decoder, tokens, asked, windows, temperature)?);
    }
    texts.sort_by_key(|text| text.window);
    Ok(texts.into_iter().map(|text| text.found).collect())
}

/// The texts of some windows, in any order.
fn together(
    decoder: &Decoder,
    tokens: &Tokens,
    asked: &[Asked<'_>],
    windows: &[usize],
    temperature: f64,
) -> Result<Vec<Text>> {
    let all: Vec<Asked<'_>> = windows.iter().map(|&window| asked[window]).collect();
    let Padded { tokens: mut next, starts, padding } = Padded::new(&all, tokens.start);
    let mut heard = Heard::join(&all.iter().map(|asked| asked.heard).collect::<Vec<_>>())?;
    let mut cache = Cache::with_padding(padding);
    let mut texts: Vec<Text> =
        windows.iter().zip(&all).map(|(&window, asked)| Text::new(window, asked, temperature)).collect();
    let (mut output, _) = decoder.forward(&next, &heard, &mut cache, &[])?;
    for (text, logits) in texts.iter_mut().zip(logits(decoder, &output, &starts)?) {
        text.found.no_speech = no_speech(tokens, &logits);
    }
    let mut ended = Vec::new();
    loop {
        let each = next.len() / texts.len();
        let last: Vec<u32> = (1..=texts.len()).map(|text| (text * each - 1) as u32).collect();
        let logits = logits(decoder, &output, &last)?;
        let sampled = texts.par_iter_mut().zip(logits).map(|(text, logits)| text.sample(tokens, logits));
        let sampled: Vec<Option<u32>> = sampled.collect::<Result<_>>()?;
        let going: Vec<u32> =
            (0..).zip(&sampled).filter(|(_, token)| token.is_some()).map(|(row, _)| row).collect();
        if going.is_empty() {
            break;
        }
        if going.len() < texts.len() {
            (heard, cache) = (heard.select(&going)?, cache.select(&going)?);
            let mut tokens = sampled.iter();
            ended.extend(texts.extract_if(.., |_| tokens.next().is_some_and(Option::is_none)));
        }
        next = sampled.into_iter().flatten().collect();
        (output, _) = decoder.forward(&next, &heard, &mut cache, &[])?;
    }
    ended.extend(texts);
    Ok(ended)
}

impl Padded {
    fn new(asked: &[Asked<'_>], filler: u32) -> Self {
        let length = asked.iter().map(|asked| asked.question.tokens.len()).max().unwrap_or_default();
        let mut padded = Self { tokens: Vec::new(), starts: Vec::new(), padding: Vec::new() };
        for (index, Asked { question, .. }) in asked.iter().enumerate() {
            let padding = length - question.tokens.len();
            padded.tokens.extend(std::iter::repeat_n(filler, padding));
            padded.tokens.extend(&question.tokens);
            padded.starts.push((index * length + padding + question.start) as u32);
            padded.padding.push(padding);
        }
        padded
    }
}

impl Text {
    fn new(window: usize, asked: &Asked<'_>, temperature: f64) -> Self {
        Self {
            window,
            longest: asked.question.longest,
            // At temperature 0, it chooses the most likely token.
            sampler: LogitsProcessor::new(SEED, Some(temperature), None),
            found: Found { tokens: Vec::new(), sum: 0.0, no_speech: 0.0 },
        }
    }

    /// Appends the next token. `None` if it is the end, or if the text has become as long as it may be.
    fn sample(&mut self, tokens: &Tokens, mut logits: Vec<f32>) -> Result<Option<u32>> {
        let Self { longest, sampler, found, .. } = self;
        rules::apply(tokens, &found.tokens, &mut logits);
        let token = sampler.sample(&Tensor::new(logits.as_slice(), &Device::Cpu)?)?;
        found.sum += f64::from(logits[token as usize]) - rules::log_sum_exp(&logits);
        if token == tokens.end {
            return Ok(None);
        }
        found.tokens.push(token);
        Ok((found.tokens.len() < *longest).then_some(token))
    }
}
