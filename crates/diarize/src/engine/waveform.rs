//! The samples that are still needed, and the overlapping chunks that the recording is cut into.
//!
//! Source: `Inference.slide` in `pyannote/audio/core/inference.py`.

use std::{borrow::Cow, ops::Range};

use crate::{Error, Result, SAMPLE_RATE, math::SlidingWindow};

/// That all samples are numbers; `received` came before them.
pub(crate) fn check_samples(samples: &[f32], received: usize) -> Result<()> {
    match samples.iter().position(|sample| !sample.is_finite()) {
        Some(index) => Err(Error::NonFiniteSample { index: received + index, value: samples[index] }),
        None => Ok(()),
    }
}

/// The end of a recording, as far as it has come. Positions count from the start of the recording.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waveform {
    samples: Vec<f32>,
    /// Position of the first sample that is kept.
    start: usize,
    /// How many samples there are expected to be in all, for progress.
    expected: usize,
}

impl Waveform {
    /// Appends samples.
    ///
    /// # Errors
    /// A sample that is not finite; nothing is appended then.
    pub(crate) fn push(&mut self, samples: &[f32]) -> Result<()> {
        check_samples(samples, self.received())?;
        self.samples.extend_from_slice(samples);
        Ok(())
    }

    /// Samples that have come, kept or not.
    pub(crate) fn received(&self) -> usize {
        self.start + self.samples.len()
    }

    /// Expects a recording of so many samples, for progress alone.
    pub(crate) fn expect(&mut self, samples: usize) {
        self.expected = samples;
    }

    /// How many samples there are in all, as far as it is known.
    pub(crate) fn expected(&self) -> usize {
        self.expected.max(self.received())
    }

    /// Forgets the samples before `position`.
    pub(crate) fn forget_until(&mut self, position: usize) {
        let gone = position.clamp(self.start, self.received()) - self.start;
        self.samples.drain(..gone);
        self.start += gone;
    }

    /// The samples of a range, followed by zeros where the recording ends before it.
    ///
    /// # Panics
    /// If some of them are forgotten.
    pub(crate) fn range(&self, range: Range<usize>) -> Cow<'_, [f32]> {
        let kept = range.start - self.start..range.end - self.start;
        if let Some(samples) = self.samples.get(kept.clone()) {
            return samples.into();
        }
        let mut padded = self.samples.get(kept.start..).unwrap_or_default().to_vec();
        padded.resize(range.len(), 0.0);
        padded.into()
    }

    /// Whether a range holds digital silence only, as far as the recording reaches.
    pub(crate) fn is_silent(&self, range: Range<usize>) -> bool {
        let kept = range.start - self.start..range.end.min(self.received()) - self.start;
        self.samples[kept].iter().all(|&sample| sample == 0.0)
    }
}

/// The grid of overlapping chunks. The last chunk of a recording is filled up with zeros if it is short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chunks {
    /// Samples of a chunk.
    pub length: usize,
    /// Samples from the start of a chunk to that of the next.
    pub hop: usize,
    /// When the chunks start and how long they are, in seconds.
    pub window: SlidingWindow,
}

impl Chunks {
    /// Chunks of `duration` seconds every `step` seconds.
    pub fn new(duration: f64, step: f64) -> Self {
        let in_samples = |seconds: f64| ((seconds * f64::from(SAMPLE_RATE)).round() as usize).max(1);
        let window = SlidingWindow { start: 0.0, duration, step };
        Self { length: in_samples(duration), hop: in_samples(step), window }
    }

    /// Chunks of a whole recording of `samples` samples: those that fit, and one for what is left over.
    pub fn count(&self, samples: usize) -> usize {
        match samples.checked_sub(self.length) {
            Some(rest) => 1 + rest.div_ceil(self.hop),
            None => usize::from(samples > 0),
        }
    }

    /// Chunks that need no padding after `samples` samples of a recording that may go on.
    pub(crate) fn complete(&self, samples: usize) -> usize {
        samples.checked_sub(self.length).map_or(0, |rest| 1 + rest / self.hop)
    }

    /// Where a chunk starts, in samples.
    pub(crate) fn start(&self, chunk: usize) -> usize {
        chunk * self.hop
    }

    /// The samples of a chunk.
    pub(crate) fn range(&self, chunk: usize) -> Range<usize> {
        self.start(chunk)..self.start(chunk) + self.length
    }

    /// The samples that consecutive chunks cover.
    pub(crate) fn stretch(&self, chunks: &[usize]) -> Range<usize> {
        match (chunks.first(), chunks.last()) {
            (Some(&first), Some(&last)) => self.start(first)..self.start(last) + self.length,
            _ => 0..0,
        }
    }

    /// Samples of a recording of `count` chunks with the zeros that fill up the last one.
    pub(crate) fn padded(&self, count: usize) -> usize {
        count.checked_sub(1).map_or(0, |last| self.start(last) + self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunks, Waveform};

    /// The specification's examples: 270.5 s, 30.37 s, 13 s and 8.2 s of audio.
    #[test]
    fn a_last_chunk_is_made_only_if_samples_are_left_over() {
        let chunks = Chunks::new(10.0, 1.0);
        for (seconds, count, complete) in
            [(270.5, 262, 261), (30.37, 22, 21), (13.0, 4, 4), (10.0, 1, 1), (8.2, 1, 0)]
        {
            let samples = (seconds * 16000.0) as usize;
            assert_eq!(chunks.count(samples), count, "{seconds} s");
            assert_eq!(chunks.complete(samples), complete, "{seconds} s");
        }
        assert_eq!((chunks.count(0), chunks.count(1)), (0, 1));
        assert_eq!(chunks.padded(chunks.count(13 * 16000 + 1)), 14 * 16000);
    }

    #[test]
    fn ranges_survive_forgetting_and_end_with_zeros() {
        let samples: Vec<f32> = (0..25).map(|x| x as f32).collect();
        let mut waveform = Waveform::default();
        samples.chunks(7).for_each(|block| waveform.push(block).unwrap());
        waveform.forget_until(16);
        assert_eq!(waveform.received(), 25);
        assert_eq!(waveform.range(17..20)[..], samples[17..20]);
        assert_eq!(waveform.range(23..27)[..], [23.0, 24.0, 0.0, 0.0]);
        assert_eq!(waveform.range(30..32)[..], [0.0, 0.0]);
        assert!(!waveform.is_silent(24..40) && waveform.is_silent(25..40));
        let error = waveform.push(&[0.0, f32::NAN]).unwrap_err().to_string();
        assert!(error.starts_with("sample 26 of the audio is NaN"), "{error}");
        assert_eq!(waveform.received(), 25);
    }
}
