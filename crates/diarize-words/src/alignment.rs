//! When each token is said: dynamic time warping over the attention of the decoder to the audio.
//!
//! Source: `whisper.timing.find_alignment`.

use candle_core::Tensor;
use candle_nn::ops::softmax_last_dim;
use rayon::prelude::*;

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
    /// The tokens of the text of each window.
    pub texts: &'a [Vec<u32>],
    /// In how many positions of the audio of each window the text is said.
    pub positions: &'a [usize],
}

/// What the decoder finds in a window.
struct Found {
    /// The probability of each token of the text.
    probabilities: Vec<f64>,
    /// How much each head attends to each position: `(tokens, positions)`.
    attention: Vec<Vec<f32>>,
}

/// Aligns the text of each window with its audio.
///
/// # Errors
/// The decoder fails or produces a non-finite value.
pub fn align(
    decoder: &Decoder,
    tokens: &Tokens,
    heard: &Heard,
    question: Question<'_>,
) -> Result<Vec<TokenTimes>> {
    let windows: Vec<usize> = (0..question.texts.len()).collect();
    // A GPU reads all texts at the same time, and the CPU each text by itself, for the reason that is named in `Padded::read`.
    let at_once = if decoder.is_on_cpu() { 1 } else { windows.len().max(1) };
    let times = windows.par_chunks(at_once).map(|windows| {
        let found = read(decoder, tokens, &heard.select(windows)?, question, windows)?;
        let found = windows.par_iter().zip(found);
        found.map(|(&window, found)| times(found, question.start.len(), question.positions[window])).collect()
    });
    Ok(times.collect::<Result<Vec<Vec<TokenTimes>>>>()?.concat())
}

/// What the decoder finds in some windows when it reads their texts.
fn read(
    decoder: &Decoder,
    tokens: &Tokens,
    heard: &Heard,
    question: Question<'_>,
    windows: &[usize],
) -> Result<Vec<Found>> {
    let Question { heads, start, texts, positions } = question;
    let all = windows
        .iter()
        .map(|&window| [start, &[tokens.no_timestamps], &texts[window], &[tokens.end]].concat());
    let mut all: Vec<Vec<u32>> = all.collect();
    let lengths: Vec<usize> = all.iter().map(Vec::len).collect();
    // Shorter texts are followed by more ends, which no token before them sees.
    let longest = lengths.iter().copied().max().unwrap_or_default();
    all.iter_mut().for_each(|text| text.resize(longest, tokens.end));
    let (output, scores) = decoder.forward(&all.concat(), heard, &mut Cache::default(), heads)?;
    let of_window = |(index, &window): (usize, &usize)| {
        let first = index * longest;
        let text = &texts[window];
        let logits = decoder.logits(&output.narrow(0, first + start.len(), text.len())?)?;
        // Of text alone, without times.
        let logits = logits.narrow(1, 0, tokens.end as usize)?.contiguous()?;
        let text = Tensor::new(text.as_slice(), logits.device())?.unsqueeze(1)?;
        let probabilities = softmax_last_dim(&logits)?.gather(&text, 1)?.flatten_all()?.to_vec1::<f32>()?;
        let of_head = |scores: &Tensor| {
            let scores = scores.narrow(0, first, lengths[index])?.narrow(1, 0, positions[window])?;
            softmax_last_dim(&scores.contiguous()?)?.flatten_all()?.to_vec1::<f32>()
        };
        Ok(Found {
            probabilities: probabilities.into_iter().map(f64::from).collect(),
            attention: scores.iter().map(of_head).collect::<candle_core::Result<_>>()?,
        })
    };
    windows.iter().enumerate().map(of_window).collect()
}

/// The times of the tokens of a text that `start` tokens precede, from what was found in some positions.
fn times(found: Found, start: usize, positions: usize) -> Result<TokenTimes> {
    let Found { probabilities, attention } = found;
    let (heads, count) = (attention.len(), probabilities.len());
    let mut mean = vec![0f64; (start + count + 2) * positions];
    for head in attention {
        for (sum, weight) in mean.iter_mut().zip(normalized(head, positions)) {
            *sum += f64::from(weight) / heads as f64;
        }
    }
    if probabilities.iter().chain(&mean).any(|value| !value.is_finite()) {
        return Err(Error::NonFiniteOutput { network: "decoder" });
    }
    let rows = &mean[start * positions..(start + count + 1) * positions];
    let starts = onsets(rows, positions).into_iter().map(|position| position as f64 * POSITION).collect();
    Ok(TokenTimes { starts, probabilities })
}

/// What one head attends to: standardized over the tokens, then smoothed.
fn normalized(mut weights: Vec<f32>, positions: usize) -> Vec<f32> {
    let count = (weights.len() / positions) as f64;
    let mut means = vec![0f64; positions];
    for row in weights.chunks(positions) {
        means.iter_mut().zip(row).for_each(|(mean, &weight)| *mean += f64::from(weight));
    }
    means.iter_mut().for_each(|mean| *mean /= count);
    let mut deviations = vec![0f64; positions];
    for row in weights.chunks(positions) {
        for ((deviation, mean), &weight) in deviations.iter_mut().zip(&means).zip(row) {
            *deviation += (f64::from(weight) - mean).powi(2);
        }
    }
    deviations.iter_mut().for_each(|deviation| *deviation = (*deviation / count).sqrt());
    for row in weights.chunks_mut(positions) {
        for ((weight, &mean), &deviation) in row.iter_mut().zip(&means).zip(&deviations) {
            // Where all tokens attend equally, no token is preferred.
            let standard = if deviation == 0.0 { 0.0 } else { (f64::from(*weight) - mean) / deviation };
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
    let before = row[1..=reach].iter().rev();
    let after = row[row.len() - 1 - reach..row.len() - 1].iter().rev();
    let mirrored: Vec<f32> = before.chain(row).chain(after).copied().collect();
    let near = mirrored.windows(MEDIAN).filter_map(|near| near.first_chunk());
    near.copied().map(median).collect()
}

/// The median, by a network of comparisons that needs no branches.
/// Source: Nicolas Devillard, "Fast median search: an ANSI C implementation", 1998.
fn median(mut values: [f32; MEDIAN]) -> f32 {
    const PAIRS: [(usize, usize); 13] = [
        (0, 5),
        (0, 3),
        (1, 6),
        (2, 4),
        (0, 1),
        (3, 5),
        (2, 6),
        (2, 3),
        (3, 6),
        (4, 5),
        (1, 4),
        (1, 3),
        (3, 4),
    ];
    for (low, high) in PAIRS {
        let (a, b) = (values[low], values[high]);
        (values[low], values[high]) = if a < b { (a, b) } else { (b, a) };
    }
    values[MEDIAN / 2]
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
    use super::{MEDIAN, median, median_filtered, onsets};

    #[test]
    fn the_median_has_as_many_values_above_as_below() {
        // A network that is right for all sequences of zeros and ones is right for all values.
        for bits in 0..1 << MEDIAN {
            let values: [f32; MEDIAN] = std::array::from_fn(|index| ((bits >> index) & 1) as f32);
            let mut sorted = values;
            sorted.sort_by(f32::total_cmp);
            assert_eq!(median(values), sorted[MEDIAN / 2], "{values:?}");
        }
    }

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
