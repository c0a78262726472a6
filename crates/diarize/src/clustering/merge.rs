//! Merging speakers whose mean embeddings are nearly the same.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, concatenate};

use super::vbx_speakers::weighted_sums;
use crate::math::normalized;

/// The squared length of a true mean is at least this, also where embeddings have nothing in common.
const LEAST_SQUARE: f64 = 0.05;

/// Merges the nearest two speakers until none are nearer than `distance`, or only `fewest` are left. Merging adds their
/// columns of `responsibilities` `(embedding, speaker)`. `embeddings` `(embedding, dimension)` must not be zero. Each counts
/// as `independent` embeddings, because chunks share audio: a tenth if chunks of ten seconds start every second.
///
/// The distance is the Euclidean one between the directions of the true means. Of `n` independent embeddings, scaled to
/// length 1, the mean `m` is longer than the true mean `μ`, because noise is added: `|m|² ≈ |μ|² + (1 - |m|²) / n`.
/// Without this correction, two clusters of the same speaker are farther apart in short recordings than in long ones.
/// (The unbiased estimate divides by `n - 1`; this one corrects less where there is little to go by.)
pub(super) fn merge_near(
    responsibilities: Array2<f64>,
    embeddings: ArrayView2<'_, f32>,
    independent: f64,
    distance: f64,
    fewest: usize,
) -> Array2<f64> {
    let sums = weighted_sums(responsibilities.view(), embeddings, normalized); // (speaker, dimension)
    let sizes = responsibilities.sum_axis(Axis(0)); // (speaker,)
    let group = |(speaker, (sum, &size)): (usize, (ArrayView1<'_, f64>, &f64))| {
        Group::new(vec![speaker], size, sum.to_owned(), independent)
    };
    let mut groups: Vec<Group> = sums.rows().into_iter().zip(&sizes).enumerate().map(group).collect();
    // The distances of each group from those before it.
    let mut distances: Vec<Vec<f64>> =
        (0..groups.len()).map(|second| from_each(&groups[..second], &groups[second])).collect();
    while groups.len() > fewest.max(1) {
        match nearest(&distances) {
            Some((first, second, between)) if between < distance => {
                let other = groups.remove(second); // `second` is larger, so `first` stays in place
                distances.remove(second);
                for later in &mut distances[second..] {
                    later.remove(second);
                }
                groups[first] = groups[first].with(other, independent);
                distances[first] = from_each(&groups[..first], &groups[first]);
                for later in first + 1..groups.len() {
                    distances[later][first] = groups[first].distance(&groups[later]);
                }
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
    /// The squared length of the true mean.
    square: f64,
}

impl Group {
    fn new(speakers: Vec<usize>, size: f64, sum: Array1<f64>, independent: f64) -> Self {
        let square = sum.dot(&sum) / size.powi(2);
        let square = (square - (1.0 - square) / (independent * size).max(1.0)).max(LEAST_SQUARE);
        Self { speakers, size, sum, square }
    }

    /// The group of the speakers of both.
    fn with(&self, other: Self, independent: f64) -> Self {
        let speakers = [&self.speakers[..], &other.speakers].concat();
        Self::new(speakers, self.size + other.size, &self.sum + &other.sum, independent)
    }

    /// Distance between the directions of the true means.
    fn distance(&self, other: &Self) -> f64 {
        let product = self.sum.dot(&other.sum) / (self.size * other.size);
        (2.0 - 2.0 * product / (self.square * other.square).sqrt()).max(0.0).sqrt()
    }

    /// `(embedding, 1)`: the sum of the speakers' columns.
    fn responsibilities(&self, responsibilities: &Array2<f64>) -> Array2<f64> {
        responsibilities.select(Axis(1), &self.speakers).sum_axis(Axis(1)).insert_axis(Axis(1))
    }
}

/// The distance of a group from each of some others.
fn from_each(others: &[Group], group: &Group) -> Vec<f64> {
    others.iter().map(|other| other.distance(group)).collect()
}

/// The two groups with the smallest distance, and the distance. `distances` has those of each group from the ones before it.
fn nearest(distances: &[Vec<f64>]) -> Option<(usize, usize, f64)> {
    let pairs = distances.iter().enumerate().flat_map(|(second, distances)| {
        distances.iter().enumerate().map(move |(first, &between)| (first, second, between))
    });
    pairs.min_by(|(.., a), (.., b)| a.total_cmp(b))
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
            let merged = merge_near(split(&[200, 200, 400]), noisy().view(), 0.1, distance, 1);
            assert_eq!(merged, split(&[400, 400]), "{distance}");
        }
        let halves = split(&[200, 200, 400]);
        assert_eq!(merge_near(halves.clone(), noisy().view(), 0.1, 0.15, 1), halves);
    }

    /// The fewer independent embeddings there are, the more of the distance may be noise.
    #[test]
    fn embeddings_that_share_less_audio_are_corrected_less() {
        let halves = split(&[200, 200, 400]);
        let speakers = |independent| merge_near(halves.clone(), noisy().view(), independent, 0.3, 1).ncols();
        assert_eq!([0.1, 1.0].map(speakers), [2, 3]);
    }

    #[test]
    fn the_nearest_two_are_merged_first_and_the_fewest_remain() {
        // The second of three has more embeddings of the first speaker than of the other.
        let merged = merge_near(split(&[200, 300, 300]), noisy().view(), 0.1, 3.0, 2);
        assert_eq!(merged, split(&[500, 300]));
        for fewest in [0, 1] {
            assert_eq!(merge_near(split(&[400, 400]), noisy().view(), 0.1, 3.0, fewest), split(&[800]));
        }
    }
}
