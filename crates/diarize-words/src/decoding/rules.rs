//! Which tokens may come next.
//!
//! Source: `whisper.decoding.SuppressBlank`, `SuppressTokens` and `ApplyTimestampRules`.

use diarize_kernels::log_sum_exp::{largest, log_sum_exp};

use crate::tokens::Tokens;

/// The latest time, in units of 20 ms, at which the first words may start.
const LATEST_START: usize = 50;

/// Sets the logits of the tokens that may not follow `sampled` to negative infinity.
pub fn apply(tokens: &Tokens, sampled: &[u32], logits: &mut [f32]) {
    let end = tokens.end as usize;
    let first_timestamp = tokens.first_timestamp as usize;
    if sampled.is_empty() {
        forbid_each(logits, &tokens.blank);
        logits[end] = f32::NEG_INFINITY;
    }
    forbid_each(logits, &tokens.suppressed);
    logits[tokens.no_timestamps as usize] = f32::NEG_INFINITY;

    let is_time = |token: &u32| *token >= tokens.first_timestamp;
    let last_is_time = sampled.last().is_some_and(is_time);
    let second_last_is_time = sampled.iter().nth_back(1).is_none_or(is_time);
    if last_is_time && second_last_is_time {
        logits[first_timestamp..].fill(f32::NEG_INFINITY); // The times come in pairs.
    } else if last_is_time {
        logits[..end].fill(f32::NEG_INFINITY); // The pair is not complete.
    }
    if let Some(&last) = sampled.iter().rfind(|token| is_time(token)) {
        // Times never decrease, and no segment is empty.
        let earliest = if last_is_time && !second_last_is_time { last } else { last + 1 } as usize;
        logits[first_timestamp..earliest].fill(f32::NEG_INFINITY);
    }
    if sampled.is_empty() {
        logits[..first_timestamp].fill(f32::NEG_INFINITY);
        logits[first_timestamp + LATEST_START + 1..].fill(f32::NEG_INFINITY);
    }
    let (text, times) = logits.split_at(first_timestamp);
    if log_sum_exp(times) > f64::from(largest(text)) {
        logits[..first_timestamp].fill(f32::NEG_INFINITY);
    }
}

fn forbid_each(logits: &mut [f32], tokens: &[u32]) {
    for &token in tokens {
        logits[token as usize] = f32::NEG_INFINITY;
    }
}
