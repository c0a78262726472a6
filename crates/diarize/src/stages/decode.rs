//! From the segmentation network's scores to decisions.

use ndarray::{ArrayView1, ArrayViewMut2};

use crate::{
    Decoding,
    math::Powerset,
    model::{Hysteresis, SegmentationArchitecture},
};

/// How a chunk's scores are interpreted.
#[derive(Clone, Debug)]
pub enum Decoder {
    /// One score per powerset class, each a set of speakers.
    Powerset(Powerset),
    /// One score per speaker.
    Multilabel(usize, Hysteresis),
}

impl Decoder {
    /// The decoder for a network of this architecture.
    pub fn new(architecture: &SegmentationArchitecture) -> Self {
        match architecture.multilabel {
            None => Self::Powerset(Powerset::new(architecture.speakers, architecture.simultaneous_speakers)),
            Some(hysteresis) => Self::Multilabel(architecture.speakers, hysteresis),
        }
    }

    /// Number of scores per frame.
    pub fn classes(&self) -> usize {
        match self {
            Self::Powerset(powerset) => powerset.classes(),
            Self::Multilabel(speakers, _) => *speakers,
        }
    }

    /// Decides who speaks in each frame of a chunk: from scores `(frame, class)` to `decisions` `(frame,
    /// local speaker)` of 0 and 1. `decoding` determines how a set of speakers is chosen.
    pub fn decide(&self, scores: &[f32], decoding: Decoding, mut decisions: ArrayViewMut2<'_, u8>) {
        let frames = scores.chunks_exact(self.classes()).zip(decisions.outer_iter_mut());
        match self {
            Self::Powerset(powerset) => {
                for (scores, mut decision) in frames {
                    let set = match decoding {
                        Decoding::Argmax => powerset.most_probable(scores),
                        Decoding::LeastError => powerset.least_error(scores),
                    };
                    decision.assign(&ArrayView1::from(set));
                }
            }
            Self::Multilabel(speakers, hysteresis) => {
                let mut speaks = vec![false; *speakers];
                for (scores, mut decision) in frames {
                    for ((&score, speaks), decision) in scores.iter().zip(&mut speaks).zip(&mut decision) {
                        *speaks = hysteresis.next(*speaks, score);
                        *decision = u8::from(*speaks);
                    }
                }
            }
        }
    }
}

impl Hysteresis {
    /// The next state, computed like `binarize` in pyannote/audio/utils/signal.py, which compares in f32.
    fn next(&self, speaks: bool, score: f32) -> bool {
        score > self.onset as f32 || (speaks && score >= self.offset as f32)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, arr2};

    use super::{Decoder, Decoding, Hysteresis};

    #[test]
    fn a_speaker_starts_above_the_onset_and_stops_below_the_offset() {
        let decoder = Decoder::Multilabel(2, Hysteresis { onset: 0.6, offset: 0.25 });
        let scores = [0.5, 0.7, 0.6, 0.25, 0.61, 0.2, 0.5, 0.6, 0.0, 1.0];
        let mut decisions = Array2::zeros((5, 2));
        decoder.decide(&scores, Decoding::Argmax, decisions.view_mut());
        assert_eq!(decisions, arr2(&[[0, 1], [0, 1], [1, 0], [1, 0], [0, 1]]));
    }
}
