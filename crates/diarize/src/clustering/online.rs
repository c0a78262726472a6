//! Online clustering: assigning embeddings to speakers while the recording continues.

use ndarray::{Array1, ArrayView1, ArrayView2};
use serde::{Deserialize, Serialize};

use super::{ClusteringError, ComputeDevice, labels};
use crate::{math::normalized, options::SpeakerBounds};

/// Distances up to this are considered rounding errors.
const NOTHING: f64 = 1e-9;
/// If too few speakers are found, the threshold is repeatedly multiplied by this factor.
const LOWER: f64 = 0.9;
/// Number of thresholds tried.
const TRIALS: i32 = 40;

/// Parameters of online clustering. The pipeline nevertheless reports turns only when the recording ends. The default
/// threshold and support gave the fewest errors on eight simulated conversations with the bundled model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Online {
    /// Maximum cosine distance from a speaker's mean at which an embedding is assigned to the speaker.
    pub threshold: f64,
    /// Latency: the number of further embeddings after which a pending embedding is assigned to the nearest
    /// speaker. The pipeline has one to three embeddings per second.
    pub delay: usize,
    /// Number of pending embeddings, within the threshold of one of them, needed to create a speaker. With
    /// a higher number, fewer speakers are found, and those who speak little are missed.
    pub support: usize,
}

impl Default for Online {
    fn default() -> Self {
        Self { threshold: 0.6, delay: 30, support: 3 }
    }
}

/// Clusters `embeddings` `(embedding, dimension)` in order. They must be finite and nonzero. Returns one
/// label per embedding; labels are consecutive from 0.
///
/// An embedding within the threshold of a speaker's mean is assigned to the nearest such speaker and
/// updates the mean. Otherwise it becomes pending. When enough pending embeddings are close to a new one,
/// they form a new speaker (unless the upper bound is reached). An embedding that has been pending for
/// `delay` embeddings is assigned to the nearest speaker, however distant, without updating the mean; if
/// there is no speaker yet, it creates one. So an embedding's label depends only on embeddings up to
/// `delay` after it. The time is proportional to the number of embeddings times the number of speakers.
///
/// Whether fewer than `bounds.min` speakers are found is only known at the end. In that case the stream is
/// clustered again with lower thresholds, and then also with a support of 1, until there are enough.
///
/// # Errors
/// If clustering was told to stop.
///
/// Source: the leader algorithm (J. Hartigan, "Clustering Algorithms", Wiley, 1975, chapter 3) with updated
/// means, as in J. M. Coria et al., "Overlap-aware low-latency online speaker diarization based on
/// end-to-end local segmentation", ASRU 2021. Pending embeddings are our addition.
pub(super) fn online(
    embeddings: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    parameters: &Online,
    device: &ComputeDevice<'_>,
) -> Result<Vec<usize>, ClusteringError> {
    let points = normalized(embeddings).mapv(f64::from); // (embedding, dimension)
    let most = bounds.max.unwrap_or(usize::MAX);
    let run = |threshold: f64, support| {
        let parameters = Online { threshold: threshold.max(NOTHING), support, ..*parameters };
        Ok(labels::by_first_member(&Stream::of(points.view(), most, parameters, device)?))
    };
    let lowered = (0..TRIALS).map(|trial| parameters.threshold * LOWER.powi(trial)).chain([0.0]);
    let mut best = Vec::new();
    for support in [parameters.support, 1] {
        for threshold in lowered.clone() {
            let found = run(threshold, support)?;
            if labels::count(&found) >= bounds.min {
                return Ok(found);
            }
            if labels::count(&found) > labels::count(&best) || best.is_empty() {
                best = found;
            }
        }
    }
    Ok(best)
}

/// The state after processing some embeddings.
struct Stream<'a> {
    points: ArrayView2<'a, f64>,
    /// For each speaker, the sum of the embeddings that determine the mean.
    leaders: Vec<Array1<f64>>,
    /// Pending embeddings, in order.
    waiting: Vec<usize>,
    /// `(embedding,)`: the speaker of each embedding that is not pending.
    labels: Vec<usize>,
}

impl<'a> Stream<'a> {
    /// The speaker of each of the points `(embedding, dimension)`; at most `most` speakers.
    fn of(
        points: ArrayView2<'a, f64>,
        most: usize,
        parameters: Online,
        device: &ComputeDevice<'_>,
    ) -> Result<Vec<usize>, ClusteringError> {
        let count = points.nrows();
        let mut stream = Self { points, leaders: Vec::new(), waiting: Vec::new(), labels: vec![0; count] };
        for embedding in 0..count {
            device.check()?;
            stream.take(embedding, most, parameters);
            while stream.waiting.first().is_some_and(|&first| embedding - first >= parameters.delay) {
                let overdue = stream.waiting.remove(0);
                stream.decide(overdue);
            }
        }
        for embedding in std::mem::take(&mut stream.waiting) {
            stream.decide(embedding);
        }
        Ok(stream.labels)
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

    /// Assigns an overdue embedding to the nearest speaker.
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

    /// The nearest speaker (the first in case of ties) and the distance.
    fn nearest(&self, point: ArrayView1<'_, f64>) -> Option<(usize, f64)> {
        let distance = |leader: &Array1<f64>| {
            let norm = leader.dot(leader).sqrt();
            if norm > 0.0 { 1.0 - leader.dot(&point) / norm } else { 1.0 }
        };
        let distances = self.leaders.iter().map(distance).enumerate();
        distances.reduce(|best, other| if other.1 < best.1 { other } else { best })
    }
}
