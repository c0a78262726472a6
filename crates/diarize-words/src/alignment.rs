//! When each token is said: dynamic time warping over the attention of the decoder to the audio.
//!
//! Source: `whisper.timing.find_alignment`.

use crate::{
    Error, Result,
    model::{Cache, Decoder, Head, Heard},
    tokens::Tokens,
};

/// Seconds between positions of the audio.
pub const POSITION: f64 = 0.02;
/// Positions that the median filter looks at.
const MEDIAN: usize = 7;

/// When the tokens of a text are said.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenTimes {
    /// The start of each token and the end of the last, in seconds.
    pub starts: Vec<f64>,
    /// The probability of each token.
    pub probabilities: Vec<f64>,
}

/// What is aligned.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The heads of the decoder that follow the audio.
    pub heads: &'a [Head],
    /// The tokens that start the answer.
    pub start: &'a [u32],
    /// The tokens of the text.
    pub text: &'a [u32],
}

/// Aligns the tokens of a text with the first `positions` positions of the audio.
///
/// # Errors
/// The decoder fails or produces a non-finite value.
pub fn align(
    decoder: &Decoder,
    tokens: &Tokens,
    heard: &Heard,
    question: &Question<'_>,
    positions: usize,
) -> Result<TokenTimes> {
    let Question { heads, start, text } = *question;
    let all = [start, &[tokens.no_timestamps], text, &[tokens.end]].concat();
    let (output, scores) = decoder.forward(&all, heard, &mut Cache::default(), heads)?;
    let rows = decoder.logits(&output.narrow(0, start.len(), text.len())?)?.to_vec2::<f32>()?;
    let probability = |(row, &token): (Vec<f32>, &u32)| {
        let row = &row[..tokens.end as usize];
        (f64::from(row[token as usize]) - crate::decoding::rules::log_sum_exp(row)).exp()
    };
    let probabilities: Vec<f64> = rows.into_iter().zip(text).map(probability).collect();

    let mut mean = vec![0f64; all.len() * positions];
    for scores in scores {
        let head = scores.narrow(1, 0, positions)?.flatten_all()?.to_vec1::<f32>()?;
        for (sum, weight) in mean.iter_mut().zip(normalized(head, positions)) {
            *sum += f64::from(weight) / heads.len() as f64;
        }
    }
    if probabilities.iter().chain(&mean).any(|value| !value.is_finite()) {
        return Err(Error::NonFiniteOutput { network: "decoder" });
    }
    let rows = &mean[start.len() * positions..(all.len() - 1) * positions];
    let starts = onsets(rows, positions).into_iter().map(|position| position as f64 * POSITION).collect();
    Ok(TokenTimes { starts, probabilities })
}

/// What one head attends to: softmax over the positions, standardized over the tokens, then smoothed.
fn normalized(mut weights: Vec<f32>, positions: usize) -> Vec<f32> {
    for row in weights.chunks_mut(positions) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|weight| *weight = (*weight - largest).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|weight| *weight /= sum);
    }
    for position in 0..positions {
        let column = || weights.iter().skip(position).step_by(positions).map(|&weight| f64::from(weight));
        let count = column().count() as f64;
        let mean = column().sum::<f64>() / count;
        let deviation = (column().map(|weight| (weight - mean).powi(2)).sum::<f64>() / count).sqrt();
        for weight in weights.iter_mut().skip(position).step_by(positions) {
            // Where all tokens attend equally, no token is preferred.
            let standard = if deviation > 0.0 { (f64::from(*weight) - mean) / deviation } else { 0.0 };
            *weight = standard as f32;
        }
    }
    weights.chunks(positions).flat_map(median_filtered).collect()
}

/// The median of the values around each value. At both ends, the row is mirrored.
fn median_filtered(row: &[f32]) -> Vec<f32> {
    let reach = MEDIAN / 2;
    if row.len() <= reach {
        return row.to_vec();
    }
    let last = row.len() - 1;
    let mirrored = |index: usize| {
        let index = index.abs_diff(reach);
        row[if index > last { 2 * last - index } else { index }]
    };
    let median = |at: usize| {
        let mut near: [f32; MEDIAN] = std::array::from_fn(|offset| mirrored(at + offset));
        near.sort_by(f32::total_cmp);
        near[reach]
    };
    (0..row.len()).map(median).collect()
}

/// The position at which each row begins on the path through `(rows, positions)` with the greatest sum.
fn onsets(similarity: &[f64], positions: usize) -> Vec<usize> {
    #[derive(Clone, Copy)]
    enum Step {
        Both,
        Row,
        Position,
    }
    let rows = similarity.len() / positions;
    let width = positions + 1;
    let mut cost = vec![f32::INFINITY; (rows + 1) * width];
    let mut steps = vec![Step::Position; (rows + 1) * width];
    cost[0] = 0.0;
    for row in 1..=rows {
        steps[row * width] = Step::Row;
        for position in 1..=positions {
            let at = row * width + position;
            let [both, above, before] = [cost[at - width - 1], cost[at - width], cost[at - 1]];
            let (least, step) = if both < above && both < before {
                (both, Step::Both)
            } else if above < both && above < before {
                (above, Step::Row)
            } else {
                (before, Step::Position)
            };
            cost[at] = (f64::from(least) - similarity[(row - 1) * positions + position - 1]) as f32;
            steps[at] = step;
        }
    }
    let mut onsets = vec![0; rows];
    let (mut row, mut position) = (rows, positions);
    while row > 0 || position > 0 {
        if row > 0 {
            onsets[row - 1] = position.saturating_sub(1);
        }
        match steps[row * width + position] {
            Step::Both => (row, position) = (row - 1, position - 1),
            Step::Row => row -= 1,
            Step::Position => position -= 1,
        }
    }
    onsets
}

#[cfg(test)]
mod tests {
    use super::{median_filtered, onsets};

    #[test]
    fn the_median_filter_mirrors_both_ends() {
        let row = [5.0, 1.0, 4.0, 2.0, 3.0, 9.0, 0.0, 7.0];
        assert_eq!(median_filtered(&row)[0], 2.0); // of 2 4 1 5 1 4 2
        assert_eq!(median_filtered(&row)[3], 3.0); // of 5 1 4 2 3 9 0
        assert_eq!(median_filtered(&row)[7], 3.0); // of 3 9 0 7 0 9 3
    }

    #[test]
    fn rows_begin_where_they_are_similar() {
        let mut similarity = vec![-1.0; 3 * 10];
        for (row, positions) in [(0, 0..4), (1, 4..5), (2, 5..10)] {
            positions.for_each(|position| similarity[row * 10 + position] = 1.0);
        }
        assert_eq!(onsets(&similarity, 10), [0, 4, 5]);
    }
}
