//! The confidence of turns.
//!
//! The confidence of a turn estimates the fraction of the turn actually spoken by its speaker. It is
//! computed from two numbers that cost nothing extra:
//!
//! - the *agreement* of the segmentations, from 0 to 1: of the chunks containing a frame of the turn, the
//!   fraction in which the speaker is active there, averaged over the frames;
//! - the *separation* of the voices, from -1 to 1: `(r - d) / max(r, d)`, where `d` is the cosine distance
//!   of an embedding from its speaker's mean and `r` the distance from the nearest other speaker's mean,
//!   but at most 1, the distance of unrelated voices; averaged over the local speakers in the turn,
//!   weighted by their frames. This is the simplified silhouette (P. Rousseeuw, "Silhouettes: a graphical
//!   aid to the interpretation and validation of cluster analysis", Journal of Computational and Applied
//!   Mathematics 20, 1987), which does not depend on the scale of the distances.
//!
//! The function of both numbers is fitted to a model and its clustering
//! ([`ConfidenceFunction`](crate::model::ConfidenceFunction)). If the model has none, turns have no
//! confidence.

use ndarray::ArrayView2;
use rayon::prelude::*;

use super::{Segmentations, aggregate::first_frame, turns::label};
use crate::{
    Turn,
    math::{SlidingWindow, count_while},
    model::ConfidenceFunction,
};

/// The evidence for a turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evidence {
    /// How much the segmentations of overlapping chunks agree, from 0 to 1.
    pub agreement: f64,
    /// How distinct the voice is from those of other speakers, from -1 to 1.
    pub separation: f64,
}

impl ConfidenceFunction {
    /// The estimated fraction of a turn actually spoken by its speaker.
    ///
    /// `agreement`, from 0 to 1: how much the segmentations of overlapping chunks agree. `separation`, from
    /// -1 to 1: how distinct the voice is from those of other speakers.
    pub(crate) fn confidence(&self, agreement: f64, separation: f64) -> f64 {
        let score = self.bias + self.factor * agreement * separation;
        1.0 / (1.0 + (-score).exp())
    }
}

/// The intermediate results from which the evidence for a turn is computed.
#[derive(Clone, Copy, Debug)]
pub struct Votes<'a> {
    /// Who speaks in each frame of each chunk.
    pub segmentations: &'a Segmentations,
    /// `(chunk, local speaker)`: index of the cluster; negative if none.
    pub hard_clusters: ArrayView2<'a, i32>,
    /// `(chunk, local speaker)`: how distinct the voice is from those of other speakers, from -1 to 1.
    pub separation: ArrayView2<'a, f32>,
    /// Times of the chunks.
    pub chunks: SlidingWindow,
    /// Times of the frames, both of a chunk and of the whole recording.
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

    /// Sets the confidence of each turn. `labeled` lists the cluster of each label, in order.
    pub(crate) fn rate(&self, turns: &mut [Turn], labeled: &[usize], function: &ConfidenceFunction) {
        let labels: Vec<String> = (0..labeled.len()).map(label).collect();
        turns.par_iter_mut().for_each(|turn| {
            let cluster = labels.iter().zip(labeled).find(|(label, _)| **label == turn.speaker);
            turn.confidence = cluster.map(|(_, &cluster)| {
                let Evidence { agreement, separation } = self.evidence(turn.start, turn.end, cluster);
                function.confidence(agreement, separation)
            });
        });
    }
}

/// A speaker's confidence: the mean over the speaker's turns, weighted by duration.
pub(crate) fn of_speaker(speaker: &str, turns: &[Turn]) -> Option<f64> {
    let (mut sum, mut time) = (0.0, 0.0);
    for turn in turns.iter().filter(|turn| turn.speaker == speaker) {
        let seconds = turn.end - turn.start;
        sum += seconds * turn.confidence?;
        time += seconds;
    }
    (time > 0.0).then(|| sum / time)
}

#[cfg(test)]
mod tests {
    use super::ConfidenceFunction;

    #[test]
    fn more_evidence_gives_more_confidence() {
        let function = ConfidenceFunction { bias: -0.68, factor: 4.17 };
        let confidence = |agreement, separation| function.confidence(agreement, separation);
        for step in 0..10 {
            let (low, high) = (f64::from(step) / 10.0, f64::from(step + 1) / 10.0);
            assert!(confidence(low, 0.5) < confidence(high, 0.5));
            assert!(confidence(0.8, low) < confidence(0.8, high));
        }
        assert!(confidence(0.0, -1.0) > 0.0 && confidence(1.0, 1.0) < 1.0);
    }
}
