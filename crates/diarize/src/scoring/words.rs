//! Accuracy of a transcript: the word error rate, and the one with speakers (cpWER).
//!
//! Source: S. Watanabe et al., "CHiME-6 Challenge: Tackling Multispeaker Speech Recognition for Unsegmented
//! Recordings", 2020. Errors equal those of `meeteval.wer.cp_word_error_rate`.

use std::ops::AddAssign;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::rate;
use crate::math::best_assignment;

/// Word errors of one recording, or the sum over several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordScore {
    /// Number of words in the reference.
    pub words: usize,
    /// Number of words missed, inserted or replaced.
    pub errors: usize,
}

impl WordScore {
    /// Errors as a fraction of the words in the reference. Without words in the reference it is 0 if no word was
    /// found, otherwise 1.
    pub fn word_error_rate(&self) -> f64 {
        rate(self.errors as f64, self.words as f64)
    }
}

impl AddAssign for WordScore {
    fn add_assign(&mut self, other: Self) {
        self.words += other.words;
        self.errors += other.errors;
    }
}

/// Scores the words found. Words are equal if their text is: bring both to the same spelling before.
pub fn score_words(reference: &[&str], found: &[&str]) -> WordScore {
    WordScore { words: reference.len(), errors: distance(reference, found) }
}

/// Scores the words found for each speaker: all words of a speaker in order, for the one-to-one assignment of
/// speakers with the fewest errors. A speaker without counterpart is wrong in each word.
pub fn score_speakers_words(reference: &[Vec<&str>], found: &[Vec<&str>]) -> WordScore {
    let speakers = reference.len().max(found.len());
    let errors = Array2::from_shape_fn((speakers, speakers), |(row, column)| {
        distance(words_of(reference, row), words_of(found, column))
    });
    let assigned = best_assignment(errors.mapv(|errors| -(errors as f64)).view());
    let assigned = assigned.into_iter().enumerate();
    WordScore {
        words: reference.iter().map(Vec::len).sum(),
        errors: assigned.filter_map(|(row, column)| Some(errors[[row, column?]])).sum(),
    }
}

/// The words of a speaker; none if there are fewer speakers.
fn words_of<'a, 'w>(speakers: &'a [Vec<&'w str>], index: usize) -> &'a [&'w str] {
    speakers.get(index).map_or(&[], Vec::as_slice)
}

/// The fewest words to delete, insert or replace.
fn distance(reference: &[&str], found: &[&str]) -> usize {
    let mut row: Vec<usize> = (0..=found.len()).collect();
    for (deleted, word) in reference.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], deleted + 1);
        for (column, other) in found.iter().enumerate() {
            let replaced = diagonal + usize::from(word != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[found.len()]
}
