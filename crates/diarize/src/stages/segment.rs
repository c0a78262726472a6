//! Local segmentation: which of a chunk's speakers speaks in which frame.

use std::ops::Range;

use candle_core::{Result as TensorResult, Tensor};
use ndarray::Array2;

use super::Segmentations;
use crate::{
    Result, Stage,
    engine::{BatchSize, Chunks, Context, Meter, Networks, Waveform, in_batches},
    model::num_frames,
    options::Parameters,
};

/// Chunks that go through the network together on the CPU.
pub(crate) const CPU_BATCH: usize = 8;
/// Chunks that go through the network together on a GPU: the recurrent layers only fill one with many
/// sequences.
pub(crate) const GPU_BATCH: usize = 256;

/// Batches for each thread that chunks are waited for, so that all threads have work.
const BATCHES_EACH: usize = 3;
/// Batches that chunks are waited for on a GPU, so that it computes one while another is prepared.
const BATCHES_ON_GPU: usize = 2;

/// How many chunks are to be segmented once so many are `complete`, while the recording goes on: whole
/// rounds of batches.
pub(crate) fn chunks_to_segment(
    complete: usize,
    networks: &Networks,
    parameters: &Parameters,
    threads: usize,
) -> usize {
    let round = match networks.device.is_cpu() {
        true => CPU_BATCH * BATCHES_EACH * threads,
        false => BATCHES_ON_GPU * parameters.segmentation_batch_size.unwrap_or(GPU_BATCH),
    };
    complete - complete % round
}

/// Segments chunks as their samples come.
#[derive(Clone, Debug)]
pub(crate) struct Segmenter {
    pub(crate) segmentations: Segmentations,
    /// The first chunk of digital silence. All are alike, so it stands for the others.
    silence: Option<usize>,
    /// Mean of the first chunk: about the constant that a microphone adds to all samples.
    level: f32,
}

impl Segmenter {
    pub(crate) fn new(networks: &Networks, chunks: &Chunks) -> Self {
        let architecture = &networks.manifest.segmentation;
        let frames = num_frames(architecture.sincnet_stride, chunks.length);
        Self { segmentations: Segmentations::new(frames, architecture.speakers), silence: None, level: 0.0 }
    }

    /// Segments the chunks before `until` that are not yet segmented, `(chunk, frame, local speaker)`, and
    /// says which these are.
    pub(crate) fn advance(
        &mut self,
        until: usize,
        waveform: &Waveform,
        chunks: &Chunks,
        networks: &Networks,
        parameters: &Parameters,
        context: &Context<'_>,
    ) -> Result<Range<usize>> {
        let new = self.segmentations.chunks()..until;
        if new.start == 0 {
            self.level = mean(&waveform.range(0..waveform.received().min(chunks.length)));
        }
        let mut distinct = Vec::with_capacity(new.len());
        for chunk in new.clone() {
            let silent = waveform.is_silent(chunks.range(chunk));
            if !silent || *self.silence.get_or_insert(chunk) == chunk {
                distinct.push(chunk);
            }
        }
        let total = chunks.count(waveform.expected());
        let size = BatchSize { cpu: CPU_BATCH, gpu: parameters.segmentation_batch_size.unwrap_or(GPU_BATCH) };
        let scores = context.on_device(networks, |networks| {
            let meter = Meter::new(context, Stage::Segmentation, new.start, total)?;
            let network = |batch: &[usize]| scores(networks, waveform, chunks, batch, self.level);
            let scores = in_batches(networks, &distinct, size, &meter, network)?;
            meter.add(new.len() - distinct.len())?;
            Ok(scores)
        })?;

        let mut computed = distinct.iter().zip(&scores).peekable();
        for chunk in new.clone() {
            let decisions = match computed.next_if(|&(&computed, _)| computed == chunk) {
                Some((_, scores)) => {
                    let shape = (self.segmentations.frames(), self.segmentations.speakers());
                    let mut decisions = Array2::zeros(shape); // (frame, local speaker)
                    networks.decoder.decide(scores, parameters.decoding, decisions.view_mut());
                    decisions
                }
                None => self.segmentations.chunk(self.silence.expect("a chunk of silence came before")),
            };
            self.segmentations.push(decisions.view());
        }
        Ok(new)
    }
}

/// Scores of some chunks: `(chunk, frame, class)`.
fn scores(
    networks: &Networks,
    waveform: &Waveform,
    chunks: &Chunks,
    indices: &[usize],
    level: f32,
) -> TensorResult<Tensor> {
    let (network, shape) = (&networks.segmentation, [chunks.length, chunks.hop]);
    if !(networks.device.is_cpu() && network.sincnet.shares(shape)) {
        return network.forward(&networks.waveforms(waveform, chunks, indices)?);
    }
    let mut scores = Vec::new();
    for run in indices.chunk_by(|a, b| a + 1 == *b) {
        scores.push(network.forward_overlapping(&waveform.range(chunks.stretch(run)), shape, level)?);
    }
    Tensor::cat(&scores, 0)
}

fn mean(samples: &[f32]) -> f32 {
    let sum: f64 = samples.iter().map(|&sample| f64::from(sample)).sum();
    (sum / samples.len().max(1) as f64) as f32
}
