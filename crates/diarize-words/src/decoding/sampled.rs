//! Texts that grow token by token, those of several windows at the same time: the decoder's weights are then read once for
//! the next token of all of them.
//!
//! Source: `whisper.decoding.GreedyDecoder`.

use candle_core::{Device, Tensor};
use candle_transformers::generation::LogitsProcessor;
use rayon::prelude::*;

use super::{Asked, Found, Question, logits, no_speech, rules};
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
    sampler: LogitsProcessor,
    found: Found,
}

/// The answer to each question. Windows with equally long questions are decoded at the same time.
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
    for windows in windows.chunk_by(|a, b| length(a) == length(b)) {
        texts.extend(together(decoder, tokens, asked, windows, temperature)?);
    }
    texts.sort_by_key(|text| text.window);
    Ok(texts.into_iter().map(|text| text.found).collect())
}

/// The texts of some windows, in any order. Their questions are equally long.
fn together(
    decoder: &Decoder,
    tokens: &Tokens,
    asked: &[Asked<'_>],
    windows: &[usize],
    temperature: f64,
) -> Result<Vec<Text>> {
    let all: Vec<Asked<'_>> = windows.iter().map(|&window| asked[window]).collect();
    let Question { start, longest, .. } = *all[0].question;
    let mut heard = Heard::join(&all.iter().map(|asked| asked.heard).collect::<Vec<_>>())?;
    let mut cache = Cache::default();
    let mut next: Vec<u32> = all.iter().flat_map(|asked| &asked.question.tokens).copied().collect();
    let mut texts: Vec<Text> = windows.iter().map(|&window| Text::new(window, temperature)).collect();
    let mut ended = Vec::new();
    for step in 0..longest {
        let (output, _) = decoder.forward(&next, &heard, &mut cache, &[])?;
        let (count, each) = (texts.len(), next.len() / texts.len());
        let rows = |row: usize| (0..count).map(|text| (text * each + row) as u32).collect::<Vec<_>>();
        if step == 0 {
            let starts = logits(decoder, &output, &rows(start))?;
            texts.iter_mut().zip(starts).for_each(|(text, logits)| {
                text.found.no_speech = no_speech(tokens, &logits);
            });
        }
        let logits = logits(decoder, &output, &rows(each - 1))?;
        let sampled = texts.par_iter_mut().zip(logits).map(|(text, logits)| text.sample(tokens, logits));
        let sampled: Vec<u32> = sampled.collect::<Result<_>>()?;
        let is_end = |&token: &u32| token == tokens.end;
        let going: Vec<u32> =
            (0..).zip(&sampled).filter(|&(_, token)| !is_end(token)).map(|(row, _)| row).collect();
        if going.is_empty() {
            break;
        }
        if going.len() < count {
            (heard, cache) = (heard.select(&going)?, cache.select(&going)?);
            let mut ends = sampled.iter().map(is_end);
            ended.extend(texts.extract_if(.., |_| ends.next() == Some(true)));
        }
        next = sampled.into_iter().filter(|token| !is_end(token)).collect();
    }
    ended.extend(texts);
    Ok(ended)
}

impl Text {
    fn new(window: usize, temperature: f64) -> Self {
        // At temperature 0, it chooses the most likely token.
        let sampler = LogitsProcessor::new(SEED, Some(temperature), None);
        Self { window, sampler, found: Found { tokens: Vec::new(), sum: 0.0, no_speech: 0.0 } }
    }

    /// The next token, which is appended unless it is the end.
    fn sample(&mut self, tokens: &Tokens, mut logits: Vec<f32>) -> Result<u32> {
        let Self { sampler, found, .. } = self;
        rules::apply(tokens, &found.tokens, &mut logits);
        let token = sampler.sample(&Tensor::new(logits.as_slice(), &Device::Cpu)?)?;
        found.sum += f64::from(logits[token as usize]) - rules::log_sum_exp(&logits);
        if token != tokens.end {
            found.tokens.push(token);
        }
        Ok(token)
    }
}
