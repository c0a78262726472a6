//! The pipeline, from samples to turns, as pyannote's `SpeakerDiarization.apply` tells it.
//!
//! Source: `pyannote/audio/pipelines/speaker_diarization.py`, version 3.3.2.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use candle_core::Tensor;
use ndarray::{Array2, Array3, ArrayView1, ArrayView3, Axis};
use rayon::prelude::*;

use crate::{
    Device, Diarization, Error, Options, Parameters, Progress, Result, Speaker, Stage, Stages, Turn,
    chunks::Chunks,
    clustering::{Mismatch, cluster},
    embedding::{WeSpeaker, embedding_masks, resize_nearest},
    model::{Manifest, ModelFiles, Weights},
    reconstruct,
    segmentation::{self, Powerset, PyanNet},
    turns,
};

/// Chunks that go through a network together on the CPU, where such pieces run in parallel. Fixed,
/// so that results depend on neither the number of threads nor the batch sizes meant for GPUs.
const CPU_SEGMENTATION_PIECE: usize = 4;
const CPU_EMBEDDING_PIECE: usize = 1;

/// The hook that is told how far the pipeline has come.
type Hook<'a> = Mutex<&'a mut (dyn FnMut(Progress) + Send)>;

/// The diarization pipeline with a model loaded on a device.
#[derive(Debug)]
pub struct Diarizer {
    manifest: Manifest,
    device: candle_core::Device,
    powerset: Powerset,
    segmentation: PyanNet,
    embedding: WeSpeaker,
}

impl Diarizer {
    /// Loads a model directory.
    ///
    /// # Errors
    /// A file that is missing, truncated or not what it should be, named with its tensor; a device
    /// that is not there.
    pub fn load(model_dir: impl AsRef<Path>, device: Device) -> Result<Self> {
        Self::from_files(&ModelFiles::read(model_dir.as_ref())?, device)
    }

    /// Loads the model that this library carries.
    ///
    /// # Errors
    /// A device that is not there.
    #[cfg(feature = "bundled")]
    pub fn bundled(device: Device) -> Result<Self> {
        Self::from_files(&ModelFiles::bundled()?, device)
    }

    fn from_files(files: &ModelFiles, device: Device) -> Result<Self> {
        let manifest = files.manifest.clone();
        let device = device.open()?;
        let powerset = Powerset::new(manifest.segmentation.speakers, manifest.segmentation.simultaneous_speakers);
        Ok(Self {
            segmentation: PyanNet::load(
                &Weights::open(&files.segmentation, &device)?,
                &manifest.segmentation,
                powerset.classes(),
            )?,
            embedding: WeSpeaker::load(&Weights::open(&files.embedding, &device)?, &manifest.embedding)?,
            powerset,
            manifest,
            device,
        })
    }

    /// What the model is.
    pub fn model(&self) -> &Manifest {
        &self.manifest
    }

    /// The model's own hyper-parameters, nothing known of the speakers.
    pub fn options(&self) -> Options {
        Options::new(self.manifest.parameters.clone())
    }

    /// Who spoke when in `samples`: 16 kHz, one channel, full scale 1.
    ///
    /// # Errors
    /// A sample that is not finite; a failure of the device.
    pub fn diarize(&self, samples: &[f32]) -> Result<Diarization> {
        self.diarize_with(samples, &self.options(), &mut |_| {})
    }

    /// The same with the caller's options, and a hook that is told how far each stage has come.
    ///
    /// # Errors
    /// An option that makes no sense; a sample that is not finite; a failure of the device.
    pub fn diarize_with(
        &self,
        samples: &[f32],
        options: &Options,
        hook: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Diarization> {
        if let Some(index) = samples.iter().position(|sample| !sample.is_finite()) {
            return Err(Error::NonFiniteSample { index, value: samples[index] });
        }
        let hook = Mutex::new(hook);
        match options.threads {
            None => self.apply(samples, options, &hook),
            Some(threads) => rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .map_err(|source| Error::Compute { stage: "starting threads", source: source.into() })?
                .install(|| self.apply(samples, options, &hook)),
        }
    }

    fn apply(&self, samples: &[f32], options: &Options, hook: &Hook<'_>) -> Result<Diarization> {
        let bounds = options.speaker_bounds()?;
        let parameters = &options.parameters;
        parameters.check()?;
        let duration = self.manifest.segmentation.duration;
        let chunks = Chunks::new(samples, duration, parameters.segmentation_step * duration);
        let frames = segmentation::receptive_field(self.manifest.segmentation.sincnet_stride);

        let segmentations = self.segment(&chunks, parameters.segmentation_batch_size, hook)?; // (chunk, frame, local speaker)

        tell(hook, Stage::SpeakerCounting, 0, 1);
        let speaker_count = reconstruct::speaker_count(segmentations.view(), chunks.window, frames); // (frame,)
        tell(hook, Stage::SpeakerCounting, 1, 1);

        // One speaker needs no embeddings, nobody needs no clustering.
        let silence = speaker_count.iter().all(|&count| count == 0);
        let (embeddings, clusters) = if silence || bounds.max == Some(1) {
            (None, None)
        } else {
            let embeddings = self.embed(&chunks, segmentations.view(), parameters, hook)?; // (chunk, local speaker, dimension)
            tell(hook, Stage::Clustering, 0, 1);
            let clusters = cluster(embeddings.view(), segmentations.view(), bounds, &parameters.clustering);
            if let Some(Mismatch { wanted, found }) = clusters.mismatch {
                tracing::warn!("asked for {wanted} speakers, found {found}: a smaller min_cluster_size might help");
            }
            (Some(embeddings), Some(clusters))
        };
        let (mut hard_clusters, centroids) = match clusters {
            Some(clusters) => (clusters.hard, Some(clusters.centroids)), // (chunk, local speaker), (cluster, dimension)
            None => (Array2::zeros((segmentations.dim().0, segmentations.dim().2)), None),
        };
        reconstruct::mark_inactive(&mut hard_clusters, segmentations.view());
        let discrete_diarization = match silence {
            true => Array2::zeros((speaker_count.len(), 0)),
            false => reconstruct::reconstruct(
                segmentations.view(),
                hard_clusters.view(),
                speaker_count.view(),
                bounds.max,
                chunks.window,
                frames,
            ), // (frame, cluster)
        };
        let (turns, labelled) = turns::turns(
            discrete_diarization.view(),
            frames,
            parameters.min_duration_on,
            parameters.min_duration_off,
        );
        tell(hook, Stage::Clustering, 1, 1);

        Ok(Diarization {
            speakers: speakers(&turns, &labelled, centroids.as_ref()),
            turns,
            stages: Stages {
                chunks: chunks.window,
                frames,
                segmentations,
                speaker_count,
                embeddings,
                hard_clusters,
                centroids,
                discrete_diarization,
            },
        })
    }

    /// Which local speaker speaks in which frame of each chunk: `(chunk, frame, local speaker)`.
    fn segment(&self, chunks: &Chunks<'_>, batch_size: usize, hook: &Hook<'_>) -> Result<Array3<u8>> {
        let frames = segmentation::num_frames(self.manifest.segmentation.sincnet_stride, chunks.length());
        let speakers = self.manifest.segmentation.speakers;
        let mut segmentations = Array3::zeros((chunks.count(), frames, speakers));

        // Chunks of digital silence are all alike: the first one stands for the others.
        let silent: Vec<usize> = (0..chunks.count()).filter(|&chunk| chunks.is_silent(chunk)).collect();
        let repeated = silent.get(1..).unwrap_or_default();
        let distinct: Vec<usize> = (0..chunks.count()).filter(|chunk| repeated.binary_search(chunk).is_err()).collect();

        let pieces = self.in_pieces(&distinct, CPU_SEGMENTATION_PIECE, batch_size, Stage::Segmentation, hook, |piece| {
            let waveforms = self.tensor(chunks.gather(piece), &[piece.len(), 1, chunks.length()])?;
            self.segmentation.forward(&waveforms)?.flatten_all()?.to_vec1::<f32>()
        })?;
        for (&chunk, log_probabilities) in distinct.iter().zip(rows(&pieces, frames * self.powerset.classes())) {
            check_finite(log_probabilities, Stage::Segmentation)?;
            let decisions = log_probabilities.chunks_exact(self.powerset.classes());
            for (mut frame, log_probabilities) in segmentations.index_axis_mut(Axis(0), chunk).outer_iter_mut().zip(decisions) {
                frame.assign(&ArrayView1::from(self.powerset.decide(log_probabilities)));
            }
        }
        for &chunk in repeated {
            let first = segmentations.index_axis(Axis(0), silent[0]).to_owned();
            segmentations.index_axis_mut(Axis(0), chunk).assign(&first);
        }
        Ok(segmentations)
    }

    /// One embedding for each local speaker of each chunk: `(chunk, local speaker, dimension)`.
    ///
    /// The residual network runs once a chunk, and not at all where nobody speaks. Who never speaks
    /// in a chunk gets what a mask of zeros gives.
    fn embed(
        &self,
        chunks: &Chunks<'_>,
        segmentations: ArrayView3<'_, u8>,
        parameters: &Parameters,
        hook: &Hook<'_>,
    ) -> Result<Array3<f32>> {
        let (_, frames, speakers) = segmentations.dim();
        let dimension = self.manifest.embedding.dimension;
        let nothing = self.embedding.embedding_of_nothing().map_err(failed(Stage::Embeddings))?;
        let mut embeddings = Array3::from_shape_fn((chunks.count(), speakers, dimension), |(_, _, i)| nothing[i]);

        let min_frames = (frames * self.embedding.min_samples()).div_ceil(chunks.length());
        let active: Vec<usize> =
            (0..chunks.count()).filter(|&chunk| segmentations.index_axis(Axis(0), chunk).iter().any(|&x| x == 1)).collect();
        let pooled = self.embedding.output_frames(chunks.length());

        let batch_size = parameters.embedding_batch_size;
        let pieces = self.in_pieces(&active, CPU_EMBEDDING_PIECE, batch_size, Stage::Embeddings, hook, |piece| {
            let waveforms = self.tensor(chunks.gather(piece), &[piece.len(), chunks.length()])?;
            let mut masks = Vec::with_capacity(piece.len() * speakers * pooled);
            for &chunk in piece {
                let chunk = segmentations.index_axis(Axis(0), chunk);
                for mask in embedding_masks(chunk, parameters.embedding_exclude_overlap, min_frames) {
                    masks.extend(resize_nearest(&mask, pooled));
                }
            }
            let masks = self.tensor(masks, &[piece.len(), speakers, pooled])?;
            self.embedding.forward(&waveforms, &masks)?.flatten_all()?.to_vec1::<f32>()
        })?;
        for (&chunk, values) in active.iter().zip(rows(&pieces, speakers * dimension)) {
            check_finite(values, Stage::Embeddings)?;
            for speaker in 0..speakers {
                let speaks = |frame: ArrayView1<'_, u8>| frame[speaker] == 1;
                if segmentations.index_axis(Axis(0), chunk).outer_iter().any(speaks) {
                    let values = ArrayView1::from(&values[speaker * dimension..][..dimension]);
                    embeddings.index_axis_mut(Axis(0), chunk).index_axis_mut(Axis(0), speaker).assign(&values);
                }
            }
        }
        Ok(embeddings)
    }

    /// Runs `network` over pieces of `chunks`, in parallel on the CPU and one after the other on a
    /// GPU, and tells the hook of each piece done.
    fn in_pieces(
        &self,
        chunks: &[usize],
        cpu_piece: usize,
        batch_size: usize,
        stage: Stage,
        hook: &Hook<'_>,
        network: impl Fn(&[usize]) -> candle_core::Result<Vec<f32>> + Sync,
    ) -> Result<Vec<Vec<f32>>> {
        let done = Mutex::new(0);
        tell(hook, stage, 0, chunks.len());
        let run = |piece: &[usize]| {
            let values = network(piece).map_err(failed(stage))?;
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            *done += piece.len();
            tell(hook, stage, *done, chunks.len());
            Ok(values)
        };
        if self.device.is_cpu() {
            chunks.par_chunks(cpu_piece).map(run).collect()
        } else {
            chunks.chunks(batch_size).map(run).collect()
        }
    }

    fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> candle_core::Result<Tensor> {
        Tensor::from_vec(values, shape, &self.device)
    }
}

/// The speakers of `turns`, `labelled` giving the cluster of each label in order.
fn speakers(turns: &[Turn], labelled: &[usize], centroids: Option<&Array2<f32>>) -> Vec<Speaker> {
    labelled
        .iter()
        .enumerate()
        .map(|(index, &cluster)| {
            let label = turns::label(index);
            let duration = turns.iter().filter(|turn| turn.speaker == label).map(|turn| turn.end - turn.start).sum();
            let embedding = centroids
                .filter(|centroids| cluster < centroids.nrows())
                .map(|centroids| centroids.row(cluster).to_vec());
            Speaker { label, duration, embedding }
        })
        .collect()
}

/// The rows of `length` values, across pieces of one or more.
fn rows(pieces: &[Vec<f32>], length: usize) -> impl Iterator<Item = &[f32]> {
    pieces.iter().flat_map(move |piece| piece.chunks_exact(length))
}

fn failed(stage: Stage) -> impl Fn(candle_core::Error) -> Error {
    move |source| Error::Compute { stage: stage.name(), source: source.into() }
}

fn check_finite(values: &[f32], stage: Stage) -> Result<()> {
    match values.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(Error::NonFiniteOutput { stage: stage.name() }),
    }
}

fn tell(hook: &Hook<'_>, stage: Stage, done: usize, total: usize) {
    let mut hook = hook.lock().unwrap_or_else(PoisonError::into_inner);
    (**hook)(Progress { stage, done, total });
}
