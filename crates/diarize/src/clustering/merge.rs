//! Merging speakers whose mean embeddings are nearly the same.

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};

use super::vbx_speakers::weighted_sums;
use crate::math::normalized;

/// Independent embeddings per embedding. Chunks of ten seconds, one every second, share most of their audio.
const INDEPENDENT: f64 = 0.1;
/// The squared length of a true mean is at least this, also where embeddings have nothing in common.
const LEAST_SQUARE: f64 = 0.05;

/// Merges the nearest two speakers until none are nearer than `distance`, or only `fewest` are left. Merging adds their
/// columns of `responsibilities` `(embedding, speaker)`. `embeddings` `(embedding, dimension)` must not be zero.
///
/// The distance is the Euclidean one between the directions of the true means. Of `n` independent embeddings, scaled to
/// length 1, the mean `m` is longer than the true mean `μ`, because noise is added: `|m|² ≈ |μ|² + (1 - |m|²) / n`.
/// Without this correction, two clusters of the same speaker are farther apart in short recordings than in long ones.
/// (The unbiased estimate divides by `n - 1`; this one corrects less where there is little to go by.)
pub(super) fn merge_near(
    responsibilities: Array2<f64>,
    embeddings: ArrayView2<'_, f32>,
    distance: f64,
    fewest: usize,
) -> Array2<f64> {
    let sums = weighted_sums(responsibilities.view(), embeddings, normalized); // (speaker, dimension)
    let sizes = responsibilities.sum_axis(Axis(0)); // (speaker,)
    let mut groups: Vec<Group> = sums
        .rows()
        .into_iter()
        .zip(&sizes)
        .enumerate()
        .map(|(speaker, (sum, &size))| Group { speakers: vec![speaker], size, sum: sum.to_owned() })
        .collect();
    while groups.len() > fewest.max(1) {
        match nearest(&groups) {
            Some((first, second, between)) if between < distance => {
                let other = groups.remove(second); // `second` is larger, so `first` stays in place
                groups[first].add(other);
            }
            _ => break,
        }
    }
    let columns: Vec<Array2<f64>> =
        groups.iter().map(|group| group.responsibilities(&responsibilities)).collect();
    let columns: Vec<ArrayView2<'_, f64>> = columns.iter().map(|column| column.view()).collect();
    concatenate(Axis(1), &columns).expect("all columns are of the same length")
}

/// Speakers who are the same person.
struct Group {
    /// Columns of the responsibilities.
    speakers: Vec<usize>,
    /// Sum of the responsibilities.
    size: f64,
    /// `(dimension,)`: weighted sum of the embeddings' directions.
    sum: Array1<f64>,
}

impl Group {
    fn add(&mut self, other: Self) {
        self.speakers.extend(other.speakers);
        self.size += other.size;
        self.sum += &other.sum;
    }

    /// The squared length of the true mean.
    fn square(&self) -> f64 {
        let square = self.sum.dot(&self.sum) / self.size.powi(2);
        (square - (1.0 - square) / (INDEPENDENT * self.size).max(1.0)).max(LEAST_SQUARE)
    }

    /// Distance between the directions of the true means.
    fn distance(&self, other: &Self) -> f64 {
        let product = self.sum.dot(&other.sum) / (self.size * other.size);
        (2.0 - 2.0 * product / (self.square() * other.square()).sqrt()).max(0.0).sqrt()
    }

    /// `(embedding, 1)`: the sum of the speakers' columns.
    fn responsibilities(&self, responsibilities: &Array2<f64>) -> Array2<f64> {
        responsibilities.select(Axis(1), &self.speakers).sum_axis(Axis(1)).insert_axis(Axis(1))
    }
}

/// The two groups with the smallest distance, and the distance.
fn nearest(groups: &[Group]) -> Option<(usize, usize, f64)> {
    let pairs = (0..groups.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
    pairs
        .map(|(first, second)| (first, second, groups[first].distance(&groups[second])))
        .min_by(|(.., a), (.., b)| a.total_cmp(b))
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::merge_near;

    /// `(embedding, dimension)`: 400 embeddings of each of two speakers, whose true means are orthogonal. Each ten have
    /// the same noise, three times as long as the mean, along an axis of its own.
    fn noisy() -> Array2<f32> {
        Array2::from_shape_fn((800, 2 + 80), |(row, axis)| match axis {
            0 | 1 => f32::from(u8::from(axis == row / 400)),
            axis => f32::from(u8::from(axis == row / 10 + 2)) * 3.0,
        })
    }

    /// `(embedding, speaker)`: one column for each of the given numbers of neighboring embeddings.
    fn split(sizes: &[usize]) -> Array2<f64> {
        let labels: Vec<usize> =
            sizes.iter().enumerate().flat_map(|(label, &size)| vec![label; size]).collect();
        Array2::from_shape_fn((labels.len(), sizes.len()), |(row, label)| {
            f64::from(u8::from(labels[row] == label))
        })
    }

    #[test]
    fn a_split_speaker_becomes_one_again() {
        // The means of the two halves are 0.79 apart because of the noise, and the true means 0.2 by the estimate.
        for distance in [0.25, 0.66] {
            let merged = merge_near(split(&[200, 200, 400]), noisy().view(), distance, 1);
            assert_eq!(merged, split(&[400, 400]), "{distance}");
        }
        let halves = split(&[200, 200, 400]);
        assert_eq!(merge_near(halves.clone(), noisy().view(), 0.15, 1), halves);
    }

    #[test]
    fn the_nearest_two_are_merged_first_and_the_fewest_remain() {
        // The second of three has more embeddings of the first speaker than of the other.
        let merged = merge_near(split(&[200, 300, 300]), noisy().view(), 3.0, 2);
        assert_eq!(merged, split(&[500, 300]));
        for fewest in [0, 1] {
            assert_eq!(merge_near(split(&[400, 400]), noisy().view(), 3.0, fewest), split(&[800]));
        }
    }
}
