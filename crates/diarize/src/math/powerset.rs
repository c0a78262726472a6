//! Powerset classes and the sets of local speakers that they represent.
//!
//! Source: `pyannote/audio/utils/powerset.py`; Plaquet and Bredin, Powerset multi-class cross
//! entropy loss for neural speaker diarization, Interspeech 2023.

/// All sets of at most `simultaneous` out of `speakers` local speakers, ordered by size, then
/// lexicographically. For 3 and 2 these are the seven classes {}, {0}, {1}, {2}, {0,1}, {0,2}, {1,2}.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Powerset {
    /// `(class, local speaker)`, 1 where the speaker is in the set.
    mapping: Vec<Vec<u8>>,
    /// `(class answered, true class)`: number of speakers missed, falsely found or confused.
    errors: Vec<Vec<u8>>,
}

impl Powerset {
    /// All sets of at most `simultaneous` out of `speakers` local speakers.
    pub fn new(speakers: usize, simultaneous: usize) -> Self {
        let mut sets: Vec<Vec<u8>> = vec![vec![0; speakers]];
        let mut previous = sets.clone();
        for _ in 0..simultaneous.min(speakers) {
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
        let errors =
            sets.iter().map(|answer| sets.iter().map(|truth| errors(answer, truth)).collect()).collect();
        Self { mapping: sets, errors }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.mapping.len()
    }

    /// The most probable set, the first if there are several: 0 or 1 for each speaker.
    pub fn most_probable(&self, log_probabilities: &[f32]) -> &[u8] {
        let mut best = 0;
        for (class, value) in log_probabilities.iter().enumerate() {
            if *value > log_probabilities[best] {
                best = class;
            }
        }
        &self.mapping[best]
    }

    /// The set with the lowest expected error, the first if there are several: see
    /// [`Decoding::LeastError`](crate::Decoding::LeastError).
    pub fn least_error(&self, log_probabilities: &[f32]) -> &[u8] {
        let probabilities: Vec<f32> = log_probabilities.iter().map(|value| value.exp()).collect();
        let mut best = (0, f32::INFINITY);
        for (answer, errors) in self.errors.iter().enumerate() {
            let expected = errors
                .iter()
                .zip(&probabilities)
                .map(|(&error, probability)| f32::from(error) * probability)
                .sum();
            if expected < best.1 {
                best = (answer, expected);
            }
        }
        &self.mapping[best.0]
    }
}

/// The number of errors: the size of the larger set minus the size of the intersection.
fn errors(answer: &[u8], truth: &[u8]) -> u8 {
    let count = |set: &[u8]| set.iter().sum::<u8>();
    let both: u8 = answer.iter().zip(truth).map(|(a, b)| a & b).sum();
    count(answer).max(count(truth)) - both
}

#[cfg(test)]
mod tests {
    use diarize_testkit::Random;

    use super::Powerset;

    /// Missed, false and confused speakers, counted as in the diarization error rate.
    fn errors(answer: &[u8], truth: &[u8]) -> f64 {
        let size = |set: &[u8]| set.iter().filter(|&&member| member == 1).count() as f64;
        let right = answer.iter().zip(truth).filter(|&(&a, &b)| a == 1 && b == 1).count() as f64;
        let missed = (size(truth) - size(answer)).max(0.0);
        let made_up = (size(answer) - size(truth)).max(0.0);
        missed + made_up + (size(answer).min(size(truth)) - right)
    }

    /// Random log-probabilities of the classes; a few are much larger than the rest.
    fn log_probabilities(random: &mut Random, classes: usize) -> Vec<f32> {
        let scores = random.vector(classes, 3.0);
        let total = scores.iter().map(|score| score.exp()).sum::<f32>().ln();
        scores.iter().map(|score| score - total).collect()
    }

    #[test]
    fn no_set_has_a_lower_expected_error_than_the_chosen_one() {
        let mut random = Random(7);
        let mut unlike_the_most_probable = 0;
        for (speakers, simultaneous) in [(3, 2), (3, 3), (4, 2), (1, 1)] {
            let powerset = Powerset::new(speakers, simultaneous);
            for _ in 0..2000 {
                let scores = log_probabilities(&mut random, powerset.classes());
                let chosen = powerset.least_error(&scores);
                let expected = |answer: &[u8]| -> f64 {
                    let sets = powerset.mapping.iter().zip(&scores);
                    sets.map(|(truth, score)| f64::from(*score).exp() * errors(answer, truth)).sum()
                };
                for other in &powerset.mapping {
                    assert!(
                        expected(chosen) <= expected(other) + 1e-6,
                        "{chosen:?}, not {other:?}: {scores:?}"
                    );
                }
                unlike_the_most_probable += usize::from(chosen != powerset.most_probable(&scores));
            }
        }
        assert!(unlike_the_most_probable > 500, "{unlike_the_most_probable}");
    }

    #[test]
    fn speech_is_chosen_when_only_the_speaker_is_uncertain() {
        let powerset = Powerset::new(3, 2);
        // Silence is the most probable set, but {1}, {0,1} and {1,2} together are more probable.
        let scores = [0.35_f32, 0.05, 0.3, 0.0, 0.2, 0.0, 0.1].map(f32::ln);
        assert_eq!(powerset.most_probable(&scores), [0, 0, 0]);
        assert_eq!(powerset.least_error(&scores), [0, 1, 0]);
        // The expected error is equal for both: the first set is chosen.
        let scores = [0.5_f32, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0].map(f32::ln);
        assert_eq!(powerset.least_error(&scores), [0, 0, 0]);
    }

    #[test]
    fn without_overlap_the_most_probable_set_has_the_least_error() {
        let powerset = Powerset::new(3, 1);
        let mut random = Random(8);
        for _ in 0..2000 {
            let scores = log_probabilities(&mut random, powerset.classes());
            assert_eq!(powerset.least_error(&scores), powerset.most_probable(&scores), "{scores:?}");
        }
    }
}
