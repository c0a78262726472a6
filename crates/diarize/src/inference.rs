//! The networks over all chunks of a recording.

mod shared;
mod spans;

use std::sync::{Mutex, OnceLock, PoisonError};

use candle_core::{Result as TensorResult, Tensor};
use ndarray::{Array3, ArrayView1, ArrayView2, ArrayView3, Axis};
use rayon::prelude::*;

use crate::{
    Device, EmbeddingTrunk, Error, Options, Parameters, Progress, Result, Stage,
    chunks::Chunks,
    clustering,
    embedding::{WeSpeaker, embedding_masks, resize_nearest},
    frames::SlidingWindow,
    model::{Manifest, ModelFiles, Weights},
    reconstruct::WindowEmbeddings,
    segmentation::{self, Decoder, PyanNet},
};

/// Chunks that go through a network together on the CPU, where such pieces run in parallel. Fixed,
/// so that results depend on neither the number of threads nor the batch sizes meant for GPUs.
const CPU_SEGMENTATION_PIECE: usize = 8;
const CPU_EMBEDDING_PIECE: usize = 1;
/// Chunks that go through a network together on a GPU, unless the parameters say otherwise: the recurrent
/// layers only fill one with many sequences, convolutions do with few.
const GPU_SEGMENTATION_PIECE: usize = 256;
const GPU_EMBEDDING_PIECE: usize = 64;

/// The hook that is told how far the pipeline has come.
pub(crate) type Hook<'a> = Mutex<&'a mut (dyn FnMut(Progress) + Send)>;

/// Tells the hook.
pub(crate) fn tell(hook: &Hook<'_>, stage: Stage, done: usize, total: usize) {
    let mut hook = hook.lock().unwrap_or_else(PoisonError::into_inner);
    (**hook)(Progress { stage, done, total });
}

/// The two networks, loaded on a device.
#[derive(Debug)]
pub(crate) struct Networks {
    pub(crate) manifest: Manifest,
    device: candle_core::Device,
    /// The networks on the CPU, loaded from `files` when they are first needed.
    on_cpu: OnceLock<Box<Networks>>,
    /// What they are loaded from; `None` on the CPU itself.
    files: Option<ModelFiles>,
    decoder: Decoder,
    segmentation: PyanNet,
    embedding: WeSpeaker,
}

impl Networks {
    pub(crate) fn load(files: &ModelFiles, device: Device) -> Result<Self> {
        let manifest = files.manifest.clone();
        let device = device.open()?;
        Ok(Self {
            on_cpu: OnceLock::new(),
            files: (!device.is_cpu()).then(|| files.clone()),
            segmentation: PyanNet::load(
                &Weights::open(&files.segmentation, &device)?,
                &manifest.segmentation,
            )?,
            embedding: WeSpeaker::load(&Weights::open(&files.embedding, &device)?, &manifest.embedding)?,
            decoder: Decoder::new(&manifest.segmentation),
            manifest,
            device,
        })
    }

    /// What `stage` makes on the device or, where that cannot and the options allow it, on the CPU.
    fn or_on_cpu<T>(&self, options: &Options, stage: impl Fn(&Self) -> Result<T>) -> Result<T> {
        match (stage(self), &self.files) {
            (Err(error @ (Error::Operation { .. } | Error::OutOfMemory { .. })), Some(files))
                if options.allow_cpu_fallback =>
            {
                tracing::warn!("moved to the CPU: {error}");
                let on_cpu = match self.on_cpu.get() {
                    Some(on_cpu) => on_cpu,
                    None => {
                        let networks = Self::load(files, Device::Cpu)?;
                        self.on_cpu.get_or_init(|| Box::new(networks))
                    }
                };
                stage(on_cpu)
            }
            (result, _) => result,
        }
    }

    /// Runs the clustering, large dendrograms of which are made on the device.
    pub(crate) fn with_device<T>(&self, clustering: impl FnOnce() -> T) -> T {
        clustering::with_device(&self.device, clustering)
    }

    /// When the frames of the segmentation start, in seconds.
    pub(crate) fn frames(&self) -> SlidingWindow {
        self.manifest.segmentation.receptive_field()
    }

    /// Which local speaker speaks in which frame of each chunk: `(chunk, frame, local speaker)`.
    pub(crate) fn segment(
        &self,
        chunks: &Chunks<'_>,
        options: &Options,
        hook: &Hook<'_>,
    ) -> Result<Array3<u8>> {
        self.or_on_cpu(options, |networks| networks.segment_here(chunks, &options.parameters, hook))
    }

    /// One embedding for each local speaker of each chunk: `(chunk, local speaker, dimension)`.
    ///
    /// The residual network runs once a chunk, and not at all where nobody speaks. Who never speaks
    /// in a chunk gets what a mask of zeros gives. Where the residual network runs once over the recording and
    /// `speaker_count` is given, `(frame of the recording,)`, windows all along the recording are embedded too.
    pub(crate) fn embed(
        &self,
        chunks: &Chunks<'_>,
        segmentations: ArrayView3<'_, u8>,
        speaker_count: Option<ArrayView1<'_, u8>>,
        options: &Options,
        hook: &Hook<'_>,
    ) -> Result<(Array3<f32>, Option<WindowEmbeddings>)> {
        self.or_on_cpu(options, |networks| {
            networks.embed_here(chunks, segmentations, speaker_count, &options.parameters, hook)
        })
    }

    fn segment_here(
        &self,
        chunks: &Chunks<'_>,
        parameters: &Parameters,
        hook: &Hook<'_>,
    ) -> Result<Array3<u8>> {
        let frames = segmentation::num_frames(self.manifest.segmentation.sincnet_stride, chunks.length());
        let speakers = self.manifest.segmentation.speakers;
        let mut segmentations = Array3::zeros((chunks.count(), frames, speakers));

        // Chunks of digital silence are all alike: the first one stands for the others.
        let silent: Vec<usize> = (0..chunks.count()).filter(|&chunk| chunks.is_silent(chunk)).collect();
        let repeated = silent.get(1..).unwrap_or_default();
        let distinct: Vec<usize> =
            (0..chunks.count()).filter(|chunk| repeated.binary_search(chunk).is_err()).collect();

        let batch_size = parameters.segmentation_batch_size.unwrap_or(GPU_SEGMENTATION_PIECE);
        let shape = [chunks.length(), chunks.hop()];
        let shares = self.device.is_cpu() && self.segmentation.sincnet.shares(shape);
        let level = if shares { chunks.level() } else { 0.0 };
        let network = |piece: &[usize]| {
            if !shares {
                return self.segmentation.forward(&self.waveforms(chunks, piece)?);
            }
            let run = |run: &[usize]| {
                self.segmentation.forward_overlapping(&chunks.stretch(run[0], run.len()), shape, level)
            };
            let runs = piece.chunk_by(|a, b| a + 1 == *b).map(run);
            Tensor::cat(&runs.collect::<TensorResult<Vec<_>>>()?, 0)
        };
        let decide = |chunk: usize, scores: &[f32]| {
            let decisions = segmentations.index_axis_mut(Axis(0), chunk);
            self.decoder.decide(scores, parameters.decoding, decisions);
        };
        self.in_pieces(
            &distinct,
            CPU_SEGMENTATION_PIECE,
            batch_size,
            Stage::Segmentation,
            hook,
            network,
            decide,
        )?;
        if let Some(&first) = silent.first() {
            let first = segmentations.index_axis(Axis(0), first).to_owned();
            for &chunk in repeated {
                segmentations.index_axis_mut(Axis(0), chunk).assign(&first);
            }
        }
        Ok(segmentations)
    }

    fn embed_here(
        &self,
        chunks: &Chunks<'_>,
        segmentations: ArrayView3<'_, u8>,
        speaker_count: Option<ArrayView1<'_, u8>>,
        parameters: &Parameters,
        hook: &Hook<'_>,
    ) -> Result<(Array3<f32>, Option<WindowEmbeddings>)> {
        let (count, frames, speakers) = segmentations.dim();
        assert_eq!(count, chunks.count(), "segmentations of other samples");
        let dimension = self.manifest.embedding.dimension;
        let nothing = self.embedding.embedding_of_nothing().map_err(self.failed(Stage::Embeddings))?;
        let mut embeddings =
            Array3::from_shape_fn((chunks.count(), speakers, dimension), |(_, _, i)| nothing[i]);

        let min_frames = (frames * self.embedding.min_samples()).div_ceil(chunks.length());
        let active: Vec<usize> = (0..chunks.count())
            .filter(|&chunk| segmentations.index_axis(Axis(0), chunk).iter().any(|&x| x == 1))
            .collect();
        let masks_of = |chunk: usize| {
            let segmentation = segmentations.index_axis(Axis(0), chunk);
            embedding_masks(segmentation, parameters.embedding_exclude_overlap, min_frames)
        };
        let keep = |chunk: usize, values: &[f32]| {
            let values = ArrayView2::from_shape((speakers, dimension), values).expect("one for each speaker");
            embeddings.index_axis_mut(Axis(0), chunk).assign(&values);
        };
        let windows = match parameters.embedding_trunk {
            EmbeddingTrunk::Chunk => {
                let batch_size = parameters.embedding_batch_size.unwrap_or(GPU_EMBEDDING_PIECE);
                self.embed_chunks(chunks, &active, masks_of, [batch_size, speakers], hook, keep)?;
                None
            }
            EmbeddingTrunk::Shared => self.embed_from_shared_trunk(
                chunks,
                &active,
                segmentations,
                speaker_count,
                masks_of,
                hook,
                keep,
            )?,
        };
        Ok((embeddings, windows))
    }

    /// Embeds the `active` chunks from a run of the residual network over each, and hands the `local
    /// speakers * dimension` values of each to `keep`.
    fn embed_chunks(
        &self,
        chunks: &Chunks<'_>,
        active: &[usize],
        masks_of: impl Fn(usize) -> Vec<Vec<f32>> + Sync,
        [batch_size, speakers]: [usize; 2],
        hook: &Hook<'_>,
        keep: impl FnMut(usize, &[f32]) + Send,
    ) -> Result<()> {
        let pooled = self.embedding.output_frames(chunks.length());
        let network = |piece: &[usize]| {
            if let (&[chunk], true) = (piece, self.device.is_cpu()) {
                return self.embedding.forward_one(&chunks.get(chunk), &masks_of(chunk));
            }
            let waveforms = self.waveforms(chunks, piece)?;
            let mut masks = Vec::with_capacity(piece.len() * speakers * pooled);
            for &chunk in piece {
                for mask in masks_of(chunk) {
                    masks.extend(resize_nearest(&mask, pooled));
                }
            }
            let masks = self.tensor(masks, &[piece.len(), speakers, pooled])?;
            self.embedding.forward(&waveforms, &masks)
        };
        self.in_pieces(active, CPU_EMBEDDING_PIECE, batch_size, Stage::Embeddings, hook, network, keep)
    }

    /// Runs `network` over pieces of `chunks`, hands what it gives for each chunk to `keep`, and tells the
    /// hook of each piece done: on the CPU in parallel, on a GPU one after the other, each enqueued before
    /// the one before it is waited for.
    ///
    /// Where a GPU has too little memory for a piece, that and all after it are half as long.
    #[expect(clippy::too_many_arguments, reason = "two stages, each of which calls it once")]
    fn in_pieces(
        &self,
        chunks: &[usize],
        cpu_piece: usize,
        batch_size: usize,
        stage: Stage,
        hook: &Hook<'_>,
        network: impl Fn(&[usize]) -> TensorResult<Tensor> + Sync,
        keep: impl FnMut(usize, &[f32]) + Send,
    ) -> Result<()> {
        tell(hook, stage, 0, chunks.len());
        let kept = Mutex::new((0, keep));
        let finish = |piece: &[usize], output: Tensor| {
            let values: Vec<f32> =
                output.flatten_all().and_then(|output| output.to_vec1()).map_err(self.failed(stage))?;
            check_finite(&values, stage)?;
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let (done, keep) = &mut *kept;
            for (&chunk, values) in piece.iter().zip(values.chunks_exact(values.len() / piece.len())) {
                keep(chunk, values);
            }
            *done += piece.len();
            tell(hook, stage, *done, chunks.len());
            Ok(())
        };
        if self.device.is_cpu() {
            let run = |piece: &[usize]| finish(piece, network(piece).map_err(self.failed(stage))?);
            return chunks.par_chunks(cpu_piece).try_for_each(run);
        }

        let (mut rest, mut batch_size) = (chunks, batch_size);
        let mut running = None;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(batch_size.min(rest.len()));
            let next = match network(piece) {
                Ok(output) => {
                    rest = after;
                    Some((piece, output))
                }
                Err(error) if piece.len() > 1 && diarize_kernels::device::is_out_of_memory(&error) => {
                    batch_size = piece.len() / 2;
                    tracing::warn!(
                        "the device's memory is too small for {} chunks at once: going on with {batch_size}",
                        piece.len()
                    );
                    None
                }
                Err(error) => return Err(self.failed(stage)(error)),
            };
            if let Some((piece, output)) = std::mem::replace(&mut running, next) {
                finish(piece, output)?;
            }
        }
        running.map_or(Ok(()), |(piece, output)| finish(piece, output))
    }

    /// The waveforms `(chunk, sample)` of the given chunks. To a GPU goes each stretch of the recording
    /// that they cover, and is cut into overlapping chunks there.
    fn waveforms(&self, chunks: &Chunks<'_>, indices: &[usize]) -> TensorResult<Tensor> {
        let length = chunks.length();
        if self.device.is_cpu() {
            return self.tensor(chunks.gather(indices), &[indices.len(), length]);
        }
        let mut waveforms = Vec::with_capacity(indices.len());
        for run in indices.chunk_by(|a, b| a + 1 == *b) {
            let samples = chunks.stretch(run[0], run.len());
            let stretch = Tensor::from_slice(&samples, samples.len(), &self.device)?;
            for chunk in 0..run.len() {
                waveforms.push(stretch.narrow(0, chunk * chunks.hop(), length)?);
            }
        }
        Tensor::stack(&waveforms, 0)
    }

    fn failed(&self, stage: Stage) -> impl Fn(candle_core::Error) -> Error {
        let device = Device::of(&self.device);
        move |source| Error::operation(stage.name(), device, source)
    }

    fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> TensorResult<Tensor> {
        Tensor::from_vec(values, shape, &self.device)
    }
}

fn check_finite(values: &[f32], stage: Stage) -> Result<()> {
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(Error::NonFiniteOutput { stage: stage.name() }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Device, Error, ModelFiles, Networks, Options, Parameters};

    /// Networks whose device lacks an operation, as far as this can be had without one.
    #[test]
    fn what_a_device_lacks_is_an_error_or_moves_to_the_cpu() {
        let directory = tempfile::tempdir().unwrap();
        diarize_testkit::deterministic_model::write(directory.path(), 5).unwrap();
        let files = ModelFiles::read(directory.path()).unwrap();
        let networks =
            Networks { files: Some(files.clone()), ..Networks::load(&files, Device::Cpu).unwrap() };
        let stage = |networks: &Networks| match networks.files {
            Some(_) => {
                let lacks = candle_core::Error::Msg("no metal implementation for lstm".into());
                Err(Error::operation("segmentation", Device::Metal(0), lacks))
            }
            None => Ok("here"),
        };
        let mut options = Options::new(Parameters::default());
        let error = networks.or_on_cpu(&options, stage).unwrap_err().to_string();
        assert_eq!(error, "segmentation failed on metal:0: no metal implementation for lstm");
        options.allow_cpu_fallback = true;
        assert_eq!(networks.or_on_cpu(&options, stage).unwrap(), "here");
        let broken =
            |_: &Networks| -> Result<(), _> { Err(Error::NonFiniteOutput { stage: "segmentation" }) };
        assert!(networks.or_on_cpu(&options, broken).is_err(), "a broken device is not hidden");
    }

    #[test]
    fn too_little_memory_is_said_to_be() {
        let full = candle_core::Error::Msg("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")".into());
        let error = Error::operation("embeddings", Device::Cuda(0), full).to_string();
        assert!(error.starts_with("embeddings needs more memory than cuda:0 has free"), "{error}");
    }
}
