//! The recording, cut into overlapping chunks.
//!
//! Source: `Inference.slide` in `pyannote/audio/core/inference.py`.

use std::{borrow::Cow, ops::Range};

use crate::{SAMPLE_RATE, frames::SlidingWindow};

/// Overlapping chunks of a recording; the last one is filled up with zeros where it is short.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chunks<'a> {
    samples: &'a [f32],
    length: usize,
    hop: usize,
    /// When the chunks start and how long they are, in seconds.
    pub(crate) window: SlidingWindow,
}

impl<'a> Chunks<'a> {
    /// Chunks of `duration` seconds every `step` seconds.
    pub(crate) fn new(samples: &'a [f32], duration: f64, step: f64) -> Self {
        let in_samples = |seconds: f64| ((seconds * f64::from(SAMPLE_RATE)).round() as usize).max(1);
        Self {
            samples,
            length: in_samples(duration),
            hop: in_samples(step),
            window: SlidingWindow { start: 0.0, duration, step },
        }
    }

    /// Samples of a chunk.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Number of chunks: those that fit, and one more for what is left over.
    pub(crate) fn count(&self) -> usize {
        match self.samples.len().checked_sub(self.length) {
            Some(rest) => 1 + rest.div_ceil(self.hop),
            None => usize::from(!self.samples.is_empty()),
        }
    }

    /// Samples from the start of a chunk to that of the next.
    pub(crate) fn hop(&self) -> usize {
        self.hop
    }

    /// Where a chunk starts, in samples.
    pub(crate) fn start(&self, index: usize) -> usize {
        index * self.hop
    }

    /// Samples of the recording with the zeros that fill up the last chunk.
    pub(crate) fn padded_samples(&self) -> usize {
        self.count().checked_sub(1).map_or(0, |last| self.start(last) + self.length)
    }

    /// Samples of the recording, followed by as many zeros as it takes.
    pub(crate) fn samples(&self, range: Range<usize>) -> Cow<'a, [f32]> {
        if let Some(samples) = self.samples.get(range.clone()) {
            return samples.into();
        }
        let mut padded = self.samples.get(range.start..).unwrap_or_default().to_vec();
        padded.resize(range.len(), 0.0);
        padded.into()
    }

    /// One chunk.
    pub(crate) fn get(&self, index: usize) -> Cow<'a, [f32]> {
        self.stretch(index, 1)
    }

    /// All that `count` chunks from `first` on cover, each sample once.
    pub(crate) fn stretch(&self, first: usize, count: usize) -> Cow<'a, [f32]> {
        self.samples(self.start(first)..self.start(first + count - 1) + self.length)
    }

    /// The given chunks one after the other.
    pub(crate) fn gather(&self, indices: &[usize]) -> Vec<f32> {
        let mut waveforms = Vec::with_capacity(indices.len() * self.length);
        for &index in indices {
            waveforms.extend_from_slice(&self.get(index));
        }
        waveforms
    }

    /// The mean of the recording.
    pub(crate) fn level(&self) -> f32 {
        let sum: f64 = self.samples.iter().map(|&sample| f64::from(sample)).sum();
        (sum / self.samples.len().max(1) as f64) as f32
    }

    /// Whether a chunk is digital silence.
    pub(crate) fn is_silent(&self, index: usize) -> bool {
        let start = index * self.hop;
        self.samples[start..self.samples.len().min(start + self.length)].iter().all(|&sample| sample == 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Chunks;

    /// Counts stated in the specification's examples: 270.5 s, 30.37 s, 13 s and 8.2 s of audio.
    #[test]
    fn last_chunk_is_made_only_where_samples_are_left_over() {
        for (seconds, count) in [(270.5, 262), (30.37, 22), (13.0, 4), (10.0, 1), (8.2, 1)] {
            let samples = vec![1.0; (seconds * 16000.0) as usize];
            assert_eq!(Chunks::new(&samples, 10.0, 1.0).count(), count, "{seconds} s");
        }
        assert_eq!(Chunks::new(&[], 10.0, 1.0).count(), 0);
        assert_eq!(Chunks::new(&[1.0], 10.0, 1.0).count(), 1);
    }

    #[test]
    fn padding_is_zeros() {
        let samples: Vec<f32> = (1..=25).map(|x| x as f32 / 16000.0).collect();
        let chunks = Chunks::new(&samples, 10.0 / 16000.0, 4.0 / 16000.0);
        assert_eq!(chunks.count(), 5);
        assert_eq!(chunks.get(4).len(), 10);
        assert_eq!(chunks.get(4)[..9], samples[16..]);
        assert_eq!(chunks.get(4)[9], 0.0);
        assert!(!chunks.is_silent(4));
        assert_eq!(chunks.stretch(1, 2)[..], samples[4..18]);
        assert_eq!(chunks.stretch(3, 2)[4..], chunks.get(4)[..]);
    }
}
