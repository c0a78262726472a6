//! The buffer of samples still needed, and the grid of overlapping chunks.
//!
//! Source: `Inference.slide` in `pyannote/audio/core/inference.py`.

use std::{borrow::Cow, ops::Range};

use crate::{Error, Result, SAMPLE_RATE, math::SlidingWindow};

/// Number of samples for which a buffer has room from the start: five minutes, if the recording is so long. On a GPU, it seldom
/// needs more.
const ROOM: usize = 300 * SAMPLE_RATE as usize;

/// Whether all values are finite. Looks at all of them, several at a time.
pub(crate) fn are_finite(values: &[f32]) -> bool {
    values.iter().fold(true, |finite, value| finite & value.is_finite())
}

/// Checks that all samples are finite. `received` is the number of samples before them.
pub(crate) fn check_samples(samples: &[f32], received: usize) -> Result<()> {
    if are_finite(samples) {
        return Ok(());
    }
    let index = samples.iter().position(|sample| !sample.is_finite()).unwrap_or_default();
    Err(Error::NonFiniteSample { index: received + index, value: samples[index] })
}

/// The part of a recording still needed. Positions count from the start of the recording.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waveform {
    samples: Vec<f32>,
    /// Position of the first sample that is kept.
    start: usize,
    /// Expected total number of samples, for progress.
    expected: usize,
}

impl Waveform {
    /// Appends samples.
    ///
    /// # Errors
    /// If a sample is not finite; then nothing is appended.
    pub(crate) fn push(&mut self, samples: &[f32]) -> Result<()> {
        check_samples(samples, self.received())?;
        if self.samples.capacity() == 0 {
            // Growing step by step would copy the samples, and a GPU would wait. Memory is only taken when it is filled.
            self.samples.reserve(self.expected.min(ROOM));
        }
        self.samples.extend_from_slice(samples);
        Ok(())
    }

    /// Number of samples received, whether still kept or not.
    pub(crate) fn received(&self) -> usize {
        self.start + self.samples.len()
    }

    /// Sets the expected total number of samples; only affects progress.
    pub(crate) fn expect(&mut self, samples: usize) {
        self.expected = samples;
    }

    /// Expected total number of samples, at least the number received.
    pub(crate) fn expected(&self) -> usize {
        self.expected.max(self.received())
    }

    /// Drops the samples before `position`.
    pub(crate) fn forget_until(&mut self, position: usize) {
        let gone = position.clamp(self.start, self.received()) - self.start;
        self.samples.drain(..gone);
        self.start += gone;
    }

    /// The samples in a range, padded with zeros beyond the end of the recording.
    ///
    /// # Panics
    /// If some of them have been dropped.
    pub(crate) fn range(&self, range: Range<usize>) -> Cow<'_, [f32]> {
        let kept = range.start - self.start..range.end - self.start;
        if let Some(samples) = self.samples.get(kept.clone()) {
            return samples.into();
        }
        let mut padded = self.samples.get(kept.start..).unwrap_or_default().to_vec();
        padded.resize(range.len(), 0.0);
        padded.into()
    }

    /// Whether a range, up to the end of the recording, is digital silence.
    pub(crate) fn is_silent(&self, range: Range<usize>) -> bool {
        let kept = range.start - self.start..range.end.min(self.received()) - self.start;
        self.samples[kept].iter().all(|&sample| sample == 0.0)
    }
}

/// The grid of overlapping chunks. The last chunk of a recording is padded with zeros if it is short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chunks {
    /// Length of a chunk in samples.
    pub length: usize,
    /// Step between chunks in samples.
    pub hop: usize,
    /// Times of the chunks, in seconds.
    pub window: SlidingWindow,
}

impl Chunks {
    /// Chunks of `duration` seconds every `step` seconds.
    pub fn new(duration: f64, step: f64) -> Self {
        let in_samples = |seconds: f64| ((seconds * f64::from(SAMPLE_RATE)).round() as usize).max(1);
        let window = SlidingWindow { start: 0.0, duration, step };
        Self { length: in_samples(duration), hop: in_samples(step), window }
    }

    /// Number of chunks of a whole recording of `samples` samples: those that fit, plus one for any
    /// remainder.
    pub fn count(&self, samples: usize) -> usize {
        match samples.checked_sub(self.length) {
            Some(rest) => 1 + rest.div_ceil(self.hop),
            None => usize::from(samples > 0),
        }
    }

    /// Number of chunks that are complete after `samples` samples of an unfinished recording.
    pub(crate) fn complete(&self, samples: usize) -> usize {
        samples.checked_sub(self.length).map_or(0, |rest| 1 + rest / self.hop)
    }

    /// Start of a chunk in samples.
    pub(crate) fn start(&self, chunk: usize) -> usize {
        chunk * self.hop
    }

    /// The range of samples of a chunk.
    pub(crate) fn range(&self, chunk: usize) -> Range<usize> {
        self.start(chunk)..self.start(chunk) + self.length
    }

    /// The range of samples that consecutive chunks cover.
    pub(crate) fn stretch(&self, chunks: &[usize]) -> Range<usize> {
        match (chunks.first(), chunks.last()) {
            (Some(&first), Some(&last)) => self.start(first)..self.start(last) + self.length,
            _ => 0..0,
        }
    }

    /// Number of samples of a recording with `count` chunks, including the padding of the last one.
    pub(crate) fn padded(&self, count: usize) -> usize {
        count.checked_sub(1).map_or(0, |last| self.start(last) + self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::{Chunks, Waveform};

    /// The specification's examples: 270.5 s, 30.37 s, 13 s and 8.2 s of audio.
    #[test]
    fn a_padded_last_chunk_is_added_only_for_remaining_samples() {
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
    fn ranges_are_unaffected_by_dropping_samples_and_padded_with_zeros() {
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
