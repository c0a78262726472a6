//! Embeddings of spans of a recording, regardless of who speaks in them.

use candle_core::Result as TensorResult;
use rayon::prelude::*;

use crate::{
    Result, SAMPLE_RATE, Span, Stage,
    engine::{Context, Meter, Networks, check_finite, check_samples},
};

/// Maximum number of samples per run of the network: one minute takes about 400 MB.
const LONGEST: usize = 60 * SAMPLE_RATE as usize;
/// Parts up to this many samples are embedded in parallel; for longer ones, the layers themselves use all
/// threads.
const SHORT: usize = 10 * SAMPLE_RATE as usize;

/// Embeds spans as samples arrive.
///
/// A span longer than a minute is embedded in parts: parts of one minute, and at the end two equal ones of
/// more than half a minute. Its embedding is the mean of theirs, weighted by their lengths.
#[derive(Clone, Debug)]
pub(crate) struct SpanEmbedder {
    spans: Vec<Gathered>,
    /// Complete parts that are not yet embedded.
    parts: Vec<Part>,
    received: usize,
}

/// The data gathered for a span.
#[derive(Clone, Debug)]
struct Gathered {
    /// In samples.
    start: usize,
    end: usize,
    /// Samples not yet in a part.
    samples: Vec<f32>,
    /// Sum of the parts' embeddings, each multiplied by its number of samples; and that number, summed.
    sum: Vec<f64>,
    weight: f64,
}

#[derive(Clone, Debug)]
struct Part {
    span: usize,
    samples: Vec<f32>,
}

impl SpanEmbedder {
    pub(crate) fn new(spans: &[Span], networks: &Networks) -> Self {
        let dimension = networks.manifest.embedding.dimension;
        let gathered = |span: &Span| {
            // The cast saturates: negative numbers become 0, and infinity the largest number.
            let [start, end] =
                [span.start, span.end].map(|seconds| (seconds * f64::from(SAMPLE_RATE)).round() as usize);
            Gathered { start, end, samples: Vec::new(), sum: vec![0.0; dimension], weight: 0.0 }
        };
        Self { spans: spans.iter().map(gathered).collect(), parts: Vec::new(), received: 0 }
    }

    /// Takes the next samples and embeds the parts that they complete.
    pub(crate) fn push(&mut self, samples: &[f32], networks: &Networks, context: &Context<'_>) -> Result<()> {
        check_samples(samples, self.received)?;
        // A long block is processed piece by piece, so that no span gathers more samples than allowed.
        for samples in samples.chunks(LONGEST) {
            let block = self.received..self.received + samples.len();
            for (index, gathered) in self.spans.iter_mut().enumerate() {
                let (start, end) = (gathered.start.max(block.start), gathered.end.min(block.end));
                if start < end {
                    gathered.samples.extend_from_slice(&samples[start - block.start..end - block.start]);
                }
                while gathered.samples.len() > 2 * LONGEST {
                    let rest = gathered.samples.split_off(LONGEST);
                    let samples = std::mem::replace(&mut gathered.samples, rest);
                    self.parts.push(Part { span: index, samples });
                }
                let whole = block.end >= gathered.end;
                if whole && gathered.samples.len() >= networks.embedding.min_samples() {
                    self.parts.extend(last_parts(index, std::mem::take(&mut gathered.samples)));
                }
            }
            self.received = block.end;
            if self.parts.iter().map(|part| part.samples.len()).sum::<usize>() >= LONGEST {
                self.embed(networks, context)?;
            }
        }
        Ok(())
    }

    /// Ends the recording and returns one embedding for each span; `None` for a span of which too little is within the
    /// recording.
    pub(crate) fn finish(
        mut self,
        networks: &Networks,
        context: &Context<'_>,
    ) -> Result<Vec<Option<Vec<f32>>>> {
        let least = networks.embedding.min_samples();
        for (index, gathered) in self.spans.iter_mut().enumerate() {
            let samples = std::mem::take(&mut gathered.samples);
            if samples.len() >= least {
                self.parts.extend(last_parts(index, samples));
            }
        }
        self.embed(networks, context)?;
        let mean = |Gathered { sum, weight, .. }: Gathered| {
            let mean = || sum.iter().map(|sum| (sum / weight) as f32).collect();
            (weight > 0.0).then(mean)
        };
        Ok(self.spans.into_iter().map(mean).collect())
    }

    fn embed(&mut self, networks: &Networks, context: &Context<'_>) -> Result<()> {
        let parts = std::mem::take(&mut self.parts);
        let short = parts.iter().all(|part| part.samples.len() <= SHORT);
        let done = self.spans.iter().filter(|gathered| gathered.weight > 0.0).count();
        let embeddings: Vec<Vec<f32>> = context.on_device(networks, |networks| {
            let meter = Meter::new(context, Stage::Embeddings, done, self.spans.len())?;
            let embed = |part: &Part| {
                let embedding = embed(&part.samples, networks).map_err(networks.failed(Stage::Embeddings))?;
                check_finite(&embedding, Stage::Embeddings)?;
                meter.add(0)?;
                Ok(embedding)
            };
            match short && networks.device.is_cpu() {
                true => parts.par_iter().map(embed).collect(),
                false => parts.iter().map(embed).collect(),
            }
        })?;
        for (part, embedding) in parts.iter().zip(embeddings) {
            let (gathered, weight) = (&mut self.spans[part.span], part.samples.len() as f64);
            gathered.sum.iter_mut().zip(embedding).for_each(|(sum, x)| *sum += weight * f64::from(x));
            gathered.weight += weight;
        }
        let done = self.spans.iter().filter(|gathered| gathered.weight > 0.0).count();
        Meter::new(context, Stage::Embeddings, done, self.spans.len()).map(drop)
    }
}

/// The rest of a span as one part, or as two if it exceeds the maximum.
fn last_parts(span: usize, mut samples: Vec<f32>) -> Vec<Part> {
    if samples.len() <= LONGEST {
        return vec![Part { span, samples }];
    }
    let rest = samples.split_off(samples.len() / 2);
    vec![Part { span, samples }, Part { span, samples: rest }]
}

/// The embedding `(dimension,)` of samples.
fn embed(samples: &[f32], networks: &Networks) -> TensorResult<Vec<f32>> {
    let waveform = networks.tensor(samples.to_vec(), &[1, samples.len()])?; // (1, samples)
    let frames = networks.embedding.output_frames(samples.len());
    let mask = networks.tensor(vec![1.0; frames], &[1, 1, frames])?; // (1, 1, frames)
    networks.embedding.forward(&waveform, &mask)?.flatten_all()?.to_vec1() // (1, 1, dimension)
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, last_parts};

    #[test]
    fn the_rest_of_a_span_is_one_part_or_two_equal_parts() {
        let lengths = |samples: usize| -> Vec<usize> {
            last_parts(0, vec![0.0; samples]).iter().map(|part| part.samples.len()).collect()
        };
        assert_eq!(lengths(LONGEST), [LONGEST]);
        assert_eq!(lengths(2 * LONGEST - 1), [LONGEST - 1, LONGEST]);
        assert_eq!(lengths(LONGEST + 2), [LONGEST / 2 + 1; 2]);
    }
}
