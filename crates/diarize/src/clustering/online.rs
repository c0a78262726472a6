//! Online clustering: embeddings get their speaker while the recording goes on.

use ndarray::{Array1, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use super::labels;
use crate::{math::normalized, options::SpeakerBounds};

/// Distances up to this are rounding.
const NOTHING: f64 = 1e-9;
/// Where too few speakers are found, the threshold is lowered by this factor again and again,
const LOWER: f64 = 0.9;
/// so many times.
const TRIALS: i32 = 40;

/// Parameters of online clustering. The threshold and the support are those of the fewest errors on eight
/// simulated conversations with the model in the box.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Online {
    /// An embedding within this cosine distance of a speaker's mean is that speaker's.
    pub threshold: f64,
    /// An embedding of nobody known waits for this many further embeddings, and then has to be the nearest
    /// speaker's: the latency. In the pipeline there are one to three embeddings a second.
    pub delay: usize,
    /// So many waiting embeddings within the threshold of one of them found a new speaker. With more, fewer
    /// speakers are found, and those who say little are missed.
    pub support: usize,
}

impl Default for Online {
    fn default() -> Self {
        Self { threshold: 0.6, delay: 30, support: 3 }
    }
}

/// Clusters `embeddings` `(embedding, dimension)` in their order; they must be finite and not zero: a
/// cluster for each, from 0 without gaps.
///
/// Each embedding goes to the nearest speaker within the threshold, whose mean it moves. One that is
/// farther from all waits. When enough that are near each other wait, they become a speaker (if the upper
/// bound allows one more); who has waited for `delay` embeddings goes to the nearest speaker, far as it is,
/// without moving its mean, and founds one where there is none. So the cluster of an embedding depends
/// only on those up to `delay` after it. The time grows with the number of embeddings times that of
/// speakers.
///
/// Where fewer than `bounds.min` are found, that is known at the end alone: the stream is clustered again
/// with lower thresholds, and then without support, until there are enough.
///
/// Source: the leader algorithm (J. Hartigan, "Clustering Algorithms", Wiley, 1975, chapter 3) with means
/// that move, as in J. M. Coria et al., "Overlap-aware low-latency online speaker diarization based on
/// end-to-end local segmentation", ASRU 2021; that outliers wait is our own.
pub(super) fn online(
    embeddings: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    parameters: &Online,
) -> Vec<usize> {
    let points = normalized(embeddings).mapv(f64::from); // (embedding, dimension)
    let most = bounds.max.unwrap_or(usize::MAX);
    let run = |threshold: f64, support| {
        let parameters = Online { threshold: threshold.max(NOTHING), support, ..*parameters };
        labels::by_first_member(&Stream::of(points.view(), most, parameters))
    };
    let lowered = (0..TRIALS).map(|trial| parameters.threshold * LOWER.powi(trial)).chain([0.0]);
    let mut best = Vec::new();
    for support in [parameters.support, 1] {
        for threshold in lowered.clone() {
            let found = run(threshold, support);
            if labels::count(&found) >= bounds.min {
                return found;
            }
            if labels::count(&found) > labels::count(&best) || best.is_empty() {
                best = found;
            }
        }
    }
    best
}

/// The state after some embeddings.
struct Stream<'a> {
    points: ArrayView2<'a, f64>,
    /// The sum of the embeddings of each speaker.
    leaders: Vec<Array1<f64>>,
    /// Embeddings that have no speaker yet, in order.
    waiting: Vec<usize>,
    /// The speaker of each embedding that has one.
    labels: Vec<usize>,
}

impl<'a> Stream<'a> {
    /// The speaker of each of the points `(embedding, dimension)`, at most `most` speakers.
    fn of(points: ArrayView2<'a, f64>, most: usize, parameters: Online) -> Vec<usize> {
        let count = points.nrows();
        let mut stream = Self { points, leaders: Vec::new(), waiting: Vec::new(), labels: vec![0; count] };
        for embedding in 0..count {
            stream.take(embedding, most, parameters);
            while stream.waiting.first().is_some_and(|&first| first + parameters.delay <= embedding) {
                let overdue = stream.waiting.remove(0);
                stream.decide(overdue);
            }
        }
        for embedding in std::mem::take(&mut stream.waiting) {
            stream.decide(embedding);
        }
        stream.labels
    }

    fn take(&mut self, embedding: usize, most: usize, Online { threshold, support, .. }: Online) {
        let point = self.points.row(embedding);
        if let Some((leader, distance)) = self.nearest(point)
            && distance <= threshold
        {
            self.leaders[leader] += &point;
            self.labels[embedding] = leader;
            return;
        }
        self.waiting.push(embedding);
        let near = |other: usize| 1.0 - point.dot(&self.points.row(other)) <= threshold;
        let (founders, rest): (Vec<usize>, Vec<usize>) =
            self.waiting.iter().partition(|&&other| other == embedding || near(other));
        if founders.len() >= support && self.leaders.len() < most {
            let mut sum = Array1::zeros(point.len());
            for &founder in &founders {
                sum += &self.points.row(founder);
                self.labels[founder] = self.leaders.len();
            }
            self.leaders.push(sum);
            self.waiting = rest;
        }
    }

    /// Gives an embedding that cannot wait any longer to the nearest speaker.
    fn decide(&mut self, embedding: usize) {
        let point = self.points.row(embedding);
        self.labels[embedding] = match self.nearest(point) {
            Some((leader, _)) => leader,
            None => {
                self.leaders.push(point.to_owned());
                0
            }
        };
    }

    /// The first of the nearest speakers, and its distance.
    fn nearest(&self, point: ArrayView1<'_, f64>) -> Option<(usize, f64)> {
        let distance = |leader: &Array1<f64>| {
            let norm = leader.dot(leader).sqrt();
            if norm > 0.0 { 1.0 - leader.dot(&point) / norm } else { 1.0 }
        };
        let distances = self.leaders.iter().map(distance).enumerate();
        distances.reduce(|best, other| if other.1 < best.1 { other } else { best })
    }
}
