//! Embeddings of excerpts, whoever speaks in them.

use std::{ops::Range, sync::Mutex};

use candle_core::Result as TensorResult;
use ndarray::Array2;
use rayon::prelude::*;

use super::{Hook, Networks, check_finite, tell};
use crate::{Error, Options, Result, SAMPLE_RATE, Span, Stage};

/// Samples that go through the network together: a minute takes some 400 MB.
const LONGEST: usize = 60 * SAMPLE_RATE as usize;
/// Excerpts up to this many samples are embedded in parallel; the layers of longer ones keep all threads
/// busy.
const SHORT: usize = 10 * SAMPLE_RATE as usize;

impl Networks {
    /// One embedding for each span of the recording, `(span, dimension)`.
    ///
    /// A span of more than a minute is cut into parts of equal length, whose embeddings are averaged.
    pub(crate) fn embed_spans(
        &self,
        samples: &[f32],
        spans: &[Span],
        options: &Options,
        hook: &Hook<'_>,
    ) -> Result<Array2<f32>> {
        self.or_on_cpu(options, |networks| networks.embed_spans_here(samples, spans, hook))
    }

    fn embed_spans_here(&self, samples: &[f32], spans: &[Span], hook: &Hook<'_>) -> Result<Array2<f32>> {
        tell(hook, Stage::Embeddings, 0, spans.len());
        let excerpts: Vec<&[f32]> =
            spans.iter().map(|span| self.excerpt(samples, span)).collect::<Result<_>>()?;
        let done = Mutex::new(0);
        let embed = |excerpt: &&[f32]| {
            let embedding = self.embed_excerpt(excerpt).map_err(self.failed(Stage::Embeddings))?;
            check_finite(&embedding, Stage::Embeddings)?;
            let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *done += 1;
            tell(hook, Stage::Embeddings, *done, spans.len());
            Ok(embedding)
        };
        let short = excerpts.iter().all(|excerpt| excerpt.len() <= SHORT);
        let embeddings: Vec<Vec<f32>> = match short && self.device.is_cpu() {
            true => excerpts.par_iter().map(embed).collect::<Result<_>>()?,
            false => excerpts.iter().map(embed).collect::<Result<_>>()?,
        };
        let shape = (spans.len(), self.manifest.embedding.dimension);
        Ok(Array2::from_shape_vec(shape, embeddings.concat()).expect("an embedding for each span"))
    }

    /// The samples of a span.
    fn excerpt<'a>(&self, samples: &'a [f32], span: &Span) -> Result<&'a [f32]> {
        // The cast takes negative numbers to 0.
        let [start, end] = [span.start, span.end]
            .map(|seconds| ((seconds * f64::from(SAMPLE_RATE)).round() as usize).min(samples.len()));
        let least = self.embedding.min_samples();
        match samples.get(start..end) {
            Some(excerpt) if excerpt.len() >= least => Ok(excerpt),
            _ => Err(Error::ShortSpan {
                span: *span,
                duration: samples.len() as f64 / f64::from(SAMPLE_RATE),
                least: least as f64 / f64::from(SAMPLE_RATE),
            }),
        }
    }

    fn embed_excerpt(&self, samples: &[f32]) -> TensorResult<Vec<f32>> {
        let parts = parts(samples.len());
        let mut mean = vec![0.0; self.manifest.embedding.dimension];
        let share = 1.0 / parts.len() as f32;
        for part in parts {
            let waveform = self.tensor(samples[part.clone()].to_vec(), &[1, part.len()])?; // (1, samples)
            let frames = self.embedding.output_frames(part.len());
            let mask = self.tensor(vec![1.0; frames], &[1, 1, frames])?; // (1, 1, frames)
            let embedding = self.embedding.forward(&waveform, &mask)?; // (1, 1, dimension)
            let embedding = embedding.flatten_all()?.to_vec1::<f32>()?;
            mean.iter_mut().zip(embedding).for_each(|(sum, x)| *sum += share * x);
        }
        Ok(mean)
    }
}

/// Parts of equal length, none longer than [`LONGEST`].
fn parts(samples: usize) -> Vec<Range<usize>> {
    let count = samples.div_ceil(LONGEST).max(1);
    (0..count).map(|part| part * samples / count..(part + 1) * samples / count).collect()
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, parts};

    #[test]
    fn parts_are_all_of_it_and_equally_long() {
        assert_eq!(parts(LONGEST).len(), 1);
        assert_eq!(parts(2 * LONGEST + 1).len(), 3);
        let parts = parts(5 * LONGEST - 7);
        assert_eq!((parts[0].start, parts[4].end), (0, 5 * LONGEST - 7));
        assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert!(parts.iter().all(|part| part.len() <= LONGEST && part.len() >= LONGEST - 2));
    }
}
