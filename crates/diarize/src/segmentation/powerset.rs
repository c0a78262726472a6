//! Powerset classes and the sets of local speakers that they stand for.
//!
//! Source: `pyannote/audio/utils/powerset.py`; Plaquet and Bredin, Powerset multi-class cross
//! entropy loss for neural speaker diarization, Interspeech 2023.

/// All sets of at most `simultaneous` of `speakers` local speakers, by size, then in lexicographic
/// order: for 3 and 2 the seven classes {}, {0}, {1}, {2}, {0,1}, {0,2}, {1,2}.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Powerset {
    /// `(class, local speaker)`, 1 where the speaker is in the set.
    mapping: Vec<Vec<u8>>,
}

impl Powerset {
    pub(crate) fn new(speakers: usize, simultaneous: usize) -> Self {
        let mut sets: Vec<Vec<u8>> = vec![vec![0; speakers]];
        let mut previous = sets.clone();
        for _ in 0..simultaneous {
            previous = previous
                .iter()
                .flat_map(|set| {
                    let after_last = set.iter().rposition(|&member| member == 1).map_or(0, |last| last + 1);
                    (after_last..speakers).map(move |speaker| {
                        let mut larger = set.clone();
                        larger[speaker] = 1;
                        larger
                    })
                })
                .collect();
            sets.extend(previous.iter().cloned());
        }
        Self { mapping: sets }
    }

    /// Number of classes.
    pub(crate) fn classes(&self) -> usize {
        self.mapping.len()
    }

    /// The set of the most probable class, the first where several are: 0 or 1 for each speaker.
    pub(crate) fn decide(&self, log_probabilities: &[f32]) -> &[u8] {
        let mut best = 0;
        for (class, value) in log_probabilities.iter().enumerate() {
            if *value > log_probabilities[best] {
                best = class;
            }
        }
        &self.mapping[best]
    }
}
