//! Local segmentation: which of a chunk's local speakers speak in which frame.

use candle_core::{Result as TensorResult, Tensor};
use ndarray::Array2;
use rayon::prelude::*;

use super::Segmentations;
use crate::{
    Stage,
    engine::{BatchSize, Call, Chunks, Context, Networks, Portion, Values, Waveform},
    model::num_frames,
    options::Parameters,
};

/// Chunks per batch on the CPU.
pub(crate) const CPU_BATCH: usize = 8;
/// Chunks per batch on a GPU. Larger batches keep it busier but need more memory: `benches/results/nvidia-h200.md` compares
/// several.
pub(crate) const GPU_BATCH: usize = 128;

/// Number of batches per thread to wait for, so that all threads have work.
const BATCHES_EACH: usize = 3;

/// The number of chunks, of the `complete` ones, to segment while the recording continues: as many as fill whole rounds
/// of batches, or batches of a GPU. The others wait for more samples.
pub(crate) fn chunks_to_segment(
    complete: usize,
    networks: &Networks,
    parameters: &Parameters,
    threads: usize,
) -> usize {
    let round = match networks.device.is_cpu() {
        true => CPU_BATCH * BATCHES_EACH * threads,
        false => parameters.segmentation_batch_size.unwrap_or(GPU_BATCH),
    };
    complete - complete % round
}

/// Segments chunks as their samples arrive.
#[derive(Clone, Debug)]
pub(crate) struct Segmenter {
    pub(crate) segmentations: Segmentations,
    /// The chunks that a GPU is segmenting.
    pub(crate) running: Option<(Portion, Values)>,
    /// The first chunk of digital silence. Its result is reused for all others.
    silence: Option<usize>,
    /// Mean of the first chunk: an estimate of the microphone's constant (DC) offset.
    level: f32,
}

impl Segmenter {
    pub(crate) fn new(networks: &Networks, chunks: &Chunks) -> Self {
        let architecture = &networks.manifest.segmentation;
        let frames = num_frames(architecture.sincnet_stride, chunks.length);
        Self {
            segmentations: Segmentations::new(frames, architecture.speakers),
            running: None,
            silence: None,
            level: 0.0,
        }
    }

    /// The end of the chunks that are segmented, or that a GPU is segmenting.
    pub(crate) fn started(&self) -> usize {
        self.running.as_ref().map_or(self.segmentations.chunks(), |(portion, _)| portion.chunks.end)
    }

    /// The chunks before `until` that are not yet started, and those of them that must be computed.
    pub(crate) fn next(&mut self, until: usize, waveform: &Waveform, chunks: &Chunks) -> Portion {
        let new = self.started()..until;
        if new.start == 0 {
            self.level = level(&waveform.range(0..waveform.received().min(chunks.length)));
        }
        let mut computed = Vec::with_capacity(new.len());
        for chunk in new.clone() {
            let silent = waveform.is_silent(chunks.range(chunk));
            if silent && self.silence.is_some() {
                continue;
            }
            if silent {
                self.silence = Some(chunk);
            }
            computed.push(chunk);
        }
        Portion { chunks: new, computed }
    }

    /// How the network runs on chunks: `(chunk, frame, class)`.
    pub(crate) fn call<'a, 'o>(
        &self,
        waveform: &'a Waveform,
        chunks: &'a Chunks,
        networks: &'a Networks,
        parameters: &Parameters,
        context: &'a Context<'o>,
    ) -> Call<'a, 'o, impl Fn(&Networks, &[usize]) -> TensorResult<Tensor> + Sync + use<'a, 'o>> {
        let level = self.level;
        Call {
            networks,
            context,
            stage: Stage::Segmentation,
            size: BatchSize { cpu: CPU_BATCH, gpu: parameters.segmentation_batch_size.unwrap_or(GPU_BATCH) },
            total: chunks.count(waveform.expected()),
            network: move |networks: &Networks, batch: &[usize]| {
                scores(networks, waveform, chunks, batch, level)
            },
        }
    }

    /// Decides who speaks in the next chunks, `(chunk, frame, local speaker)`, from the scores of those that were computed,
    /// `(frame, class)` each.
    pub(crate) fn decide(
        &mut self,
        portion: &Portion,
        scores: &[Vec<f32>],
        networks: &Networks,
        parameters: &Parameters,
    ) {
        let decide = |scores: &Vec<f32>| {
            let shape = (self.segmentations.frames(), self.segmentations.speakers());
            let mut decisions = Array2::zeros(shape); // (frame, local speaker)
            networks.decoder.decide(scores, parameters.decoding, decisions.view_mut());
            decisions
        };
        let decisions: Vec<Array2<u8>> = scores.par_iter().map(decide).collect();
        let mut computed = portion.computed.iter().zip(decisions).peekable();
        for chunk in portion.chunks.clone() {
            let decisions = match computed.next_if(|&(&computed, _)| computed == chunk) {
                Some((_, decisions)) => decisions,
                None => self.segmentations.chunk(self.silence.expect("a chunk of silence came before")),
            };
            self.segmentations.push(decisions.view());
        }
    }
}

/// The scores of some chunks: `(chunk, frame, class)`.
fn scores(
    networks: &Networks,
    waveform: &Waveform,
    chunks: &Chunks,
    indices: &[usize],
    level: f32,
) -> TensorResult<Tensor> {
    let (network, device) = (&networks.segmentation, &networks.device);
    if !network.sincnet.shares([chunks.length, chunks.hop]) {
        return network.forward(&networks.waveforms(waveform, chunks, indices, device)?);
    }
    let (mut samples, mut starts) = (Vec::new(), Vec::with_capacity(indices.len()));
    for run in indices.chunk_by(|a, b| a + 1 == *b) {
        starts.extend((0..run.len()).map(|chunk| samples.len() + chunk * chunks.hop));
        samples.extend_from_slice(&waveform.range(chunks.stretch(run)));
        samples.resize(samples.len().next_multiple_of(network.sincnet.stride), 0.0);
    }
    network.forward_overlapping(samples, &starts, chunks.length, level, device)
}

/// Mean of the samples. Damaged ones far above full scale are left out: a single one could make the mean so large
/// that the differences of all other samples from it are rounded to the same value.
fn level(samples: &[f32]) -> f32 {
    const LARGEST: f32 = 1e5;
    let (mut sum, mut count) = (0.0, 0);
    for &sample in samples.iter().filter(|sample| sample.abs() <= LARGEST) {
        sum += f64::from(sample);
        count += 1;
    }
    (sum / f64::from(count.max(1))) as f32
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn damaged_samples_do_not_affect_the_level() {
        assert_eq!(level(&[0.25, 0.75, 1e12, -0.25]), 0.25);
        assert_eq!(level(&[1e30]), 0.0);
        assert_eq!(level(&[]), 0.0);
    }
}
