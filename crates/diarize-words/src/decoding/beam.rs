//! Beam search: several texts are followed at a time, and the likeliest one is the answer.
//!
//! Source: `whisper.decoding.BeamSearchDecoder` with patience 1, and `MaximumLikelihoodRanker` without length penalty.

use diarize_kernels::log_sum_exp::log_sum_exp;

use super::{Asked, Found, likeliest, logits, no_speech, rules};
use crate::{
    Result,
    model::{Cache, Decoder},
    tokens::Tokens,
};

/// A text that is followed.
#[derive(Clone, Default)]
struct Text {
    tokens: Vec<u32>,
    /// Sum of the log-probabilities of the tokens.
    sum: f64,
    /// The tokens in the decoder's cache that it consists of, with those of the question.
    seen: Vec<usize>,
}

impl Text {
    /// The likelihood by which texts are compared.
    fn score(&self) -> f64 {
        self.sum / self.tokens.len() as f64
    }
}

/// A text with one more token.
struct Candidate {
    /// Index of the text.
    text: usize,
    token: u32,
    /// Sum of the log-probabilities.
    sum: f64,
}

/// Follows `size` texts of a window at a time until as many have ended.
pub fn search(
    decoder: &Decoder,
    tokens: &Tokens,
    asked: Asked<'_>,
    window: usize,
    size: usize,
) -> Result<Found> {
    let (heard, question) = (&asked.heard.select(&[window])?, &asked.questions[window]);
    let mut cache = Cache::default();
    let (mut output, _) = decoder.forward(&question.tokens, heard, &mut cache, &[])?;
    let start = logits(decoder, &output, &[question.start as u32])?;
    let no_speech = no_speech(tokens, &start[0]);
    output = output.narrow(0, question.tokens.len() - 1, 1)?;
    let mut texts = vec![Text { seen: (0..question.tokens.len()).collect(), ..Text::default() }];
    let mut ended: Vec<Text> = Vec::new();
    for step in 0..question.longest {
        let mut candidates = Vec::new();
        let rows: Vec<u32> = (0..texts.len() as u32).collect();
        for (index, (text, mut logits)) in texts.iter().zip(logits(decoder, &output, &rows)?).enumerate() {
            rules::apply(tokens, &text.tokens, &mut logits);
            let all = log_sum_exp(&logits);
            candidates.extend(likeliest(&logits, size + 1).into_iter().map(|token| {
                let sum = text.sum + f64::from(logits[token as usize]) - all;
                Candidate { text: index, token, sum }
            }));
        }
        candidates.sort_by(|a, b| b.sum.total_cmp(&a.sum));
        let first = cache.positions()?;
        let mut next: Vec<Text> = Vec::new();
        for Candidate { text, token, sum } in candidates {
            let mut text = Text { sum, ..texts[text].clone() };
            if token != tokens.end {
                text.tokens.push(token);
                text.seen.push(first + next.len());
                next.push(text);
            } else if ended.len() < size {
                ended.push(text);
            }
            if next.len() == size {
                break;
            }
        }
        texts = next;
        if ended.len() == size || step + 1 == question.longest {
            break;
        }
        let last: Vec<u32> = texts.iter().filter_map(|text| text.tokens.last()).copied().collect();
        let seen: Vec<&[usize]> = texts.iter().map(|text| &text.seen[..text.seen.len() - 1]).collect();
        output = decoder.branch(&last, &seen, heard, &mut cache)?;
    }
    // Those that have not ended are the likeliest first.
    let missing = size - ended.len();
    ended.extend(texts.into_iter().take(missing));
    let best =
        ended.into_iter().reduce(|best, other| if other.score() > best.score() { other } else { best });
    let Text { tokens, sum, .. } = best.unwrap_or_default();
    Ok(Found { tokens, sum, no_speech })
}
