//! Texts that grow token by token, those of several windows at the same time: the decoder's weights are then read once for
//! the next token of all of them.
//!
//! Source: `whisper.decoding.GreedyDecoder`.

use candle_core::{Device, Tensor};
use candle_transformers::generation::LogitsProcessor;
use diarize_kernels::log_sum_exp::log_sum_exp;
use rayon::prelude::*;

use super::{Asked, Found, Question, likeliest, logits, no_speech, rules};
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
    /// Chooses tokens at random. Without it, each token is the likeliest.
    sampler: Option<LogitsProcessor>,
    has_ended: bool,
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

/// The answers to the questions about some windows, which are in order.
///
/// A GPU decodes all windows at the same time. The CPU decodes those with equally long questions at the same time, so that no
/// padding changes how their sums are rounded.
pub fn texts(
    decoder: &Decoder,
    tokens: &Tokens,
    asked: Asked<'_>,
    windows: &[usize],
    temperature: f64,
) -> Result<Vec<Found>> {
    let length = |&window: &usize| asked.questions[window].tokens.len();
    let mut windows = windows.to_vec();
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
    asked: Asked<'_>,
    windows: &[usize],
    temperature: f64,
) -> Result<Vec<Text>> {
    let questions: Vec<&Question> = windows.iter().map(|&window| &asked.questions[window]).collect();
    let padded = Padded::new(&questions, tokens.start);
    let mut heard = asked.heard.select(windows)?;
    let mut texts: Vec<Text> = windows
        .iter()
        .zip(questions)
        .map(|(&window, question)| Text::new(window, question.longest, temperature))
        .collect();
    let (mut output, mut cache) = padded.read(decoder, &heard)?;
    for (text, logits) in texts.iter_mut().zip(logits(decoder, &output, &padded.starts)?) {
        text.found.no_speech = no_speech(tokens, &logits);
    }
    let mut ended = Vec::new();
    let mut each = padded.tokens.len() / texts.len();
    loop {
        let last: Vec<u32> = (1..=texts.len()).map(|text| (text * each - 1) as u32).collect();
        let logits = logits(decoder, &output, &last)?;
        let sampled = texts.par_iter_mut().zip(logits).map(|(text, logits)| text.sample(tokens, logits));
        let sampled: Vec<u32> = sampled.collect::<Result<_>>()?;
        let going: Vec<usize> = (0..texts.len()).filter(|&text| !texts[text].has_ended).collect();
        if going.is_empty() {
            ended.extend(texts);
            return Ok(ended);
        }
        // A GPU computes all texts in about the time of one. Those that have ended go on there until half have, because a
        // selection is a copy of what is heard.
        let at_most = if decoder.is_on_cpu() { texts.len() - 1 } else { texts.len() / 2 };
        let next = match going.len() <= at_most {
            true => {
                (heard, cache) = (heard.select(&going)?, cache.select(&going)?);
                ended.extend(texts.extract_if(.., |text| text.has_ended));
                going.into_iter().map(|text| sampled[text]).collect()
            }
            false => sampled,
        };
        (output, _) = decoder.forward(&next, &heard, &mut cache, &[])?;
        each = 1;
    }
}

impl Padded {
    fn new(questions: &[&Question], filler: u32) -> Self {
        let length = questions.iter().map(|question| question.tokens.len()).max().unwrap_or_default();
        let mut padded = Self { tokens: Vec::new(), starts: Vec::new(), padding: Vec::new() };
        for (index, question) in questions.iter().enumerate() {
            let padding = length - question.tokens.len();
            padded.tokens.extend(std::iter::repeat_n(filler, padding));
            padded.tokens.extend(&question.tokens);
            padded.starts.push((index * length + padding + question.start) as u32);
            padded.padding.push(padding);
        }
        padded
    }

    /// The decoder's output `(tokens, width)` in the windows of the questions, with its cache.
    fn read(&self, decoder: &Decoder, heard: &Heard) -> Result<(Tensor, Cache)> {
        let read = |tokens: &[u32], heard: &Heard, padding: &[usize]| {
            let mut cache = Cache::with_padding(padding.to_vec());
            let (output, _) = decoder.forward(tokens, heard, &mut cache, &[])?;
            Ok((output, cache))
        };
        if !decoder.is_on_cpu() {
            return read(&self.tokens, heard, &self.padding);
        }
        // One question after another: candle rounds the product of many rows differently than that of fewer.
        let questions = self.tokens.chunks(self.tokens.len() / self.padding.len()).enumerate();
        let read = questions.map(|(window, tokens)| read(tokens, &heard.select(&[window])?, &[]));
        let (outputs, caches): (Vec<Tensor>, Vec<Cache>) =
            read.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        Ok((Tensor::cat(&outputs, 0)?, Cache::join(&caches)?))
    }
}

impl Text {
    fn new(window: usize, longest: usize, temperature: f64) -> Self {
        Self {
            window,
            longest,
            sampler: (temperature > 0.0).then(|| LogitsProcessor::new(SEED, Some(temperature), None)),
            has_ended: false,
            found: Found { tokens: Vec::new(), sum: 0.0, no_speech: 0.0 },
        }
    }

    /// Appends the next token, unless the text has ended, and returns it. The text ends with the end token, and when it has
    /// become as long as it may be.
    fn sample(&mut self, tokens: &Tokens, mut logits: Vec<f32>) -> Result<u32> {
        let Self { longest, sampler, has_ended, found, .. } = self;
        if *has_ended {
            return Ok(tokens.end);
        }
        rules::apply(tokens, &found.tokens, &mut logits);
        let token = match sampler {
            Some(sampler) => sampler.sample(&Tensor::new(logits.as_slice(), &Device::Cpu)?)?,
            None => likeliest(&logits, 1).first().copied().unwrap_or(tokens.end),
        };
        found.sum += f64::from(logits[token as usize]) - log_sum_exp(&logits);
        if token != tokens.end {
            found.tokens.push(token);
        }
        *has_ended = token == tokens.end || found.tokens.len() >= *longest;
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::{Padded, Question};

    #[test]
    fn shorter_questions_are_padded_in_front() {
        let questions = [
            Question { tokens: vec![8, 9, 1, 2], start: 2, longest: 5 },
            Question { tokens: vec![1, 2], start: 0, longest: 5 },
            Question { tokens: vec![9, 1, 2], start: 1, longest: 5 },
        ];
        let Padded { tokens, starts, padding } = Padded::new(&questions.each_ref(), 7);
        assert_eq!(tokens, [8, 9, 1, 2, 7, 7, 1, 2, 7, 9, 1, 2]);
        assert_eq!(starts, [2, 6, 10]);
        assert!(starts.iter().all(|&start| tokens[start as usize] == 1));
        assert_eq!(padding, [0, 2, 1]);
    }
}
