//! How reliable turns are.
//!
//! The confidence of a turn estimates the fraction of the turn actually spoken by its speaker. It
//! comes from two numbers that cost nothing extra:
//!
//! - the *agreement* of the segmentations, from 0 to 1: of the chunks that hold a frame of the turn, the
//!   fraction in which the network hears the speaker there; the mean over the frames;
//! - the *separation* of the voices, from -1 to 1: `(r - d) / max(r, d)`, where `d` is the cosine
//!   distance of an embedding from its speaker's mean and `r` that from the nearest other speaker's, but
//!   at most 1, the distance of voices that have nothing in common; the mean over the local speakers that
//!   make up the turn, weighted by their frames. This is the simplified silhouette (P. Rousseeuw,
//!   "Silhouettes: a graphical aid to the interpretation and validation of cluster analysis", Journal of
//!   Computational and Applied Mathematics 20, 1987), which does not depend on the scale of the distances.
//!
//! The function of both is fitted to a model and its clustering
//! ([`ConfidenceFunction`](crate::model::ConfidenceFunction)). A model without one has no confidence.

use ndarray::ArrayView2;

use super::{Segmentations, aggregate::first_frame, turns::label};
use crate::{
    Turn,
    math::{SlidingWindow, count_while},
    model::ConfidenceFunction,
};

/// The evidence for a turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// How far the segmentations of overlapping chunks agree, from 0 to 1.
    pub agreement: f64,
    /// How far the voice is from other speakers' voices, from -1 to 1.
    pub separation: f64,
}

impl ConfidenceFunction {
    /// The fraction of a turn that its speaker is estimated to speak.
    ///
    /// `agreement`, from 0 to 1: how far the segmentations of overlapping chunks agree. `separation`, from -1
    /// to 1: how far the voice is from other speakers' voices.
    pub fn confidence(&self, agreement: f64, separation: f64) -> f64 {
        let score = self.bias + self.factor * agreement * separation;
        1.0 / (1.0 + (-score).exp())
    }
}

/// The results of the stages from which the evidence for a turn is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Votes<'a> {
    /// Who speaks in which frame of each chunk.
    pub segmentations: &'a Segmentations,
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
    /// The evidence that the speaker of `cluster` speaks from `start` to `end`, in seconds. If no chunk
    /// hears the speaker, both numbers are 0.
    pub fn evidence(&self, start: f64, end: f64, cluster: usize) -> Evidence {
        let (chunks, length) = (self.segmentations.chunks(), self.segmentations.frames());
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
            let speaks = |frame: usize, speaker: usize| self.segmentations.speaks_in(chunk, frame, speaker);
            heard += inside.clone().filter(|&i| own.iter().any(|&speaker| speaks(i, speaker))).count();
            for speaker in own {
                let frames = inside.clone().filter(|&i| speaks(i, speaker)).count();
                weight += frames;
                separation += frames as f64 * f64::from(self.separation[[chunk, speaker]]);
            }
        }
        Evidence {
            agreement: heard as f64 / held.max(1) as f64,
            separation: separation / weight.max(1) as f64,
        }
    }

    /// Gives each turn its confidence. `labeled` has the cluster of each label, in order.
    pub(crate) fn rate(&self, turns: &mut [Turn], labeled: &[usize], function: &ConfidenceFunction) {
        let labels: Vec<String> = (0..labeled.len()).map(label).collect();
        for turn in turns {
            let cluster = labels.iter().zip(labeled).find(|(label, _)| **label == turn.speaker);
            turn.confidence = cluster.map(|(_, &cluster)| {
                let Evidence { agreement, separation } = self.evidence(turn.start, turn.end, cluster);
                function.confidence(agreement, separation)
            });
        }
    }
}

/// The confidence of a speaker: the mean of the speaker's turns, weighted by their duration.
pub(crate) fn of_speaker(speaker: &str, turns: &[Turn]) -> Option<f64> {
    let (mut sum, mut time) = (0.0, 0.0);
    for turn in turns.iter().filter(|turn| turn.speaker == speaker) {
        let seconds = turn.end - turn.start;
        sum += seconds * turn.confidence?;
        time += seconds;
    }
    (time > 0.0).then(|| sum / time)
}
