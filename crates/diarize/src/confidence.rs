//! How sure the pipeline is of its turns.
//!
//! The confidence of a turn estimates the share of the turn in which its speaker really speaks. It
//! comes from two numbers, which cost nothing that is not computed anyway:
//!
//! - the *agreement* of the segmentations, from 0 to 1: of the chunks that hold a frame of the turn, the
//!   share in which the network hears the speaker there; the mean over the frames;
//! - the *separation* of the voices, from -1 to 1: `(r - d) / max(r, d)`, where `d` is the cosine
//!   distance of an embedding from its speaker's mean and `r` that from the nearest other speaker's, but
//!   at most 1, the distance of voices that have nothing in common; the mean over the local speakers that
//!   make up the turn, by their frames. This is the simplified silhouette (P. Rousseeuw, "Silhouettes: a
//!   graphical aid to the interpretation and validation of cluster analysis", Journal of Computational
//!   and Applied Mathematics 20, 1987), which does not depend on the scale of the distances.
//!
//! [`Evidence::confidence`] has the function of both and what it was measured on.

use ndarray::{ArrayView2, ArrayView3, Axis};

use crate::{Turn, frames::SlidingWindow, reconstruct::first_frame, turns::label};

/// What speaks for a turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// How far the segmentations of overlapping chunks agree, from 0 to 1.
    pub agreement: f64,
    /// How far the voice is from other speakers' voices, from -1 to 1.
    pub separation: f64,
}

impl Evidence {
    /// The share of the turn in which the speaker is expected to speak really:
    /// `1 / (1 + exp(-(a + b agreement · separation)))`, for a turn is wrong where either of them is low.
    ///
    /// The two numbers were fitted (logistic regression, turns weighing as much as they are long) to forty
    /// simulated conversations with the model in the box and its own clustering, `cargo xtask calibrate`
    /// with `meetings.py --part tuning`. With other models, and on recordings unlike those, more confidence
    /// still means fewer errors, but the shares are off by as much as these are harder or easier: the same
    /// command tells. What nobody was heard to say has no turn, and so no confidence.
    pub fn confidence(&self) -> f64 {
        const BIAS: f64 = -0.68;
        const FACTOR: f64 = 4.17;
        1.0 / (1.0 + (-(BIAS + FACTOR * self.agreement * self.separation)).exp())
    }
}

/// What the stages of the pipeline say, from which the evidence for a turn is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Votes<'a> {
    /// `(chunk, frame, local speaker)`: 1 where the speaker speaks.
    pub segmentations: ArrayView3<'a, u8>,
    /// `(chunk, local speaker)`: the cluster, negative for nobody.
    pub hard_clusters: ArrayView2<'a, i32>,
    /// `(chunk, local speaker)`: how far the voice is from other speakers' voices, from -1 to 1.
    pub separation: ArrayView2<'a, f32>,
    /// When the chunks start.
    pub chunks: SlidingWindow,
    /// When the frames of a chunk, and those of the whole recording, start.
    pub frames: SlidingWindow,
}

impl Votes<'_> {
    /// The evidence that the speaker of `cluster` speaks from `start` to `end`, in seconds. No chunk that
    /// hears the speaker there is none: both numbers are 0.
    pub fn evidence(&self, start: f64, end: f64, cluster: usize) -> Evidence {
        let (chunks, length, _) = self.segmentations.dim();
        let first = |chunk: usize| first_frame(self.chunks, self.frames, chunk);
        let turn = self.frames.closest_frame(start)..self.frames.closest_frame(end);
        let from = count_while(chunks, |chunk| first(chunk) + length <= turn.start);
        let until = count_while(chunks, |chunk| first(chunk) < turn.end);

        let (mut held, mut heard) = (0, 0); // frames of chunks
        let (mut weight, mut separation) = (0, 0.0);
        for chunk in from..until {
            let begin = turn.start.saturating_sub(first(chunk));
            let inside = begin..length.min(turn.end - first(chunk));
            held += inside.len();
            let clusters = self.hard_clusters.row(chunk);
            let own: Vec<usize> =
                (0..clusters.len()).filter(|&speaker| clusters[speaker] == cluster as i32).collect();
            if own.is_empty() {
                continue;
            }
            let segmentation = self.segmentations.index_axis(Axis(0), chunk); // (frame, local speaker)
            heard += inside
                .clone()
                .filter(|&i| own.iter().any(|&speaker| segmentation[[i, speaker]] != 0))
                .count();
            for speaker in own {
                let speaks = inside.clone().filter(|&i| segmentation[[i, speaker]] != 0).count();
                weight += speaks;
                separation += speaks as f64 * f64::from(self.separation[[chunk, speaker]]);
            }
        }
        Evidence {
            agreement: heard as f64 / held.max(1) as f64,
            separation: separation / weight.max(1) as f64,
        }
    }

    /// Says of each turn how sure it is. `labelled` has the cluster of each label, in order.
    pub(crate) fn rate(&self, turns: &mut [Turn], labelled: &[usize]) {
        let labels: Vec<String> = (0..labelled.len()).map(label).collect();
        for turn in turns {
            let cluster = labels.iter().zip(labelled).find(|(label, _)| **label == turn.speaker);
            turn.confidence =
                cluster.map(|(_, &cluster)| self.evidence(turn.start, turn.end, cluster).confidence());
        }
    }
}

/// The confidence of a speaker: the mean of that of the speaker's turns, by their time.
pub(crate) fn of_speaker(speaker: &str, turns: &[Turn]) -> Option<f64> {
    let own = turns.iter().filter(|turn| turn.speaker == speaker);
    let (sum, time) = own.fold((0.0, 0.0), |(sum, time), turn| {
        let seconds = turn.end - turn.start;
        (sum + seconds * turn.confidence.unwrap_or(0.0), time + seconds)
    });
    (time > 0.0).then(|| sum / time)
}

/// How many of the first `count` numbers hold a condition that none does after one that does not.
fn count_while(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
