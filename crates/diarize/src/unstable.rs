//! The stages' arrays and functions, for tests, benches and tools. Exempt from semantic versioning.

use std::ops::ControlFlow;

use ndarray::{Array1, Array2, Array3, ArrayView1, ArrayView2, ArrayView3};

use crate::{
    Device, Diarizer, Embedded, Options, Parameters, Reconstruction, Result,
    clustering::{
        Agglomerative, ClusteringError, ComputeDevice, KMeans, Method, Settings, Vbx, internals as clustering,
    },
    embedded::Clustered,
    engine::{Context, Waveform},
    stages::{self, Choice, Embedder, Segmented, SpeakerCounter},
};
pub use crate::{
    clustering::internals::*,
    math::{INACTIVE, Powerset, SlidingWindow, assign_distinct, best_assignment, normalized},
    model::{
        geometry::{num_frames, receptive_field},
        weights::Weights,
    },
    networks::{
        PyanNet, WeSpeaker,
        pyannet::{
            lstm::Lstm,
            sincnet::{Block as SincBlock, SincNet, sinc_filters},
        },
        wespeaker::{Fbank, ResNet, resize_nearest, resnet::Block as ResidualBlock},
    },
    options::SpeakerBounds,
    stages::internals::*,
};

/// Sizes of a GPU's batches: chunks of the segmentation network, of which the layers after the sinc filters take the second
/// number at a time, then chunks and pieces that the embedding network takes at once.
pub const GPU_BATCHES: [usize; 4] = [
    stages::SEGMENTED_ON_GPU,
    crate::networks::pyannet::sincnet::WINDOWS_ON_GPU,
    stages::EMBEDDED_ON_GPU[0],
    stages::EMBEDDED_ON_GPU[1],
];

/// Frames of the residual network, of 80 ms each, in a piece of a recording on a GPU.
pub const GPU_PIECE: usize = crate::engine::SharedTrunk::GPU_PIECE;

/// Opens Candle's device for `device`.
///
/// # Errors
/// If this build does not support the device, or the machine does not have it.
pub fn open(device: Device) -> Result<candle_core::Device> {
    device.open()
}

/// Number of people speaking in each frame of the recording, `(frame,)`, from segmentations `(chunk, frame,
/// local speaker)`.
pub fn speaker_count(
    segmentations: ArrayView3<'_, u8>,
    chunks: SlidingWindow,
    frames: SlidingWindow,
) -> Array1<u8> {
    stages::speaker_count(&segmentations.into(), chunks, frames).into()
}

/// Removes local speakers who never speak in their chunk from their cluster.
pub fn mark_inactive(hard: &mut Array2<i32>, segmentations: ArrayView3<'_, u8>) {
    stages::mark_inactive(hard, &segmentations.into());
}

/// Which clusters speak in which frame: `(frame, cluster)` of 0 and 1.
pub fn reconstruct(
    segmentations: ArrayView3<'_, u8>,
    hard: ArrayView2<'_, i32>,
    count: ArrayView1<'_, u8>,
    most: Option<usize>,
    chunks: SlidingWindow,
    frames: SlidingWindow,
    voices: Option<&VoiceShares>,
) -> Array2<u8> {
    stages::reconstruct(&segmentations.into(), hard, &count.to_vec(), Choice { most, voices }, chunks, frames)
}

/// Each cluster's share of the voice in each window, on the CPU.
///
/// # Panics
/// Never: only a GPU can fail.
pub fn voice_shares(
    windows: &WindowEmbeddings,
    centroids: ArrayView2<'_, f32>,
    temperature: f64,
) -> VoiceShares {
    VoiceShares::new(windows, centroids, temperature, &ComputeDevice::CPU).expect("the CPU does not fail")
}

/// Clusters embeddings `(chunk, local speaker, dimension)` of chunks of ten seconds, one every second, on the CPU.
///
/// # Errors
/// As the pipeline's clustering stage.
pub fn cluster_speakers(
    embeddings: ArrayView3<'_, f32>,
    segmentations: ArrayView3<'_, u8>,
    bounds: SpeakerBounds,
    settings: &Settings,
    plda: Option<&Plda>,
) -> std::result::Result<Clusters, ClusteringError> {
    let (embeddings, segmentations) = (&embeddings.into(), &segmentations.into());
    crate::clustering::cluster_speakers(
        embeddings,
        segmentations,
        bounds,
        settings,
        plda,
        0.1,
        &ComputeDevice::CPU,
    )
}

/// Clusters embeddings `(embedding, dimension)` on the CPU.
///
/// # Errors
/// As the pipeline's clustering stage.
pub fn partition(
    embeddings: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    method: &Method,
    plda: Option<&Plda>,
) -> std::result::Result<Vec<usize>, ClusteringError> {
    clustering::partition(embeddings, bounds, method, plda, &ComputeDevice::CPU)
}

/// Like [`partition`], on a device.
///
/// # Errors
/// As [`partition`]; also if the device fails.
pub fn partition_on(
    device: &candle_core::Device,
    embeddings: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    method: &Method,
) -> std::result::Result<Vec<usize>, ClusteringError> {
    clustering::partition(embeddings, bounds, method, None, &ComputeDevice::new(device, &|| true))
}

/// Agglomerative clustering on the CPU.
///
/// # Panics
/// Never: only a GPU can fail.
pub fn agglomerate(
    embeddings: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    parameters: &Agglomerative,
) -> Vec<usize> {
    clustering::agglomerate(embeddings, bounds, parameters, &ComputeDevice::CPU)
        .expect("the CPU does not fail")
}

/// k-means on the CPU.
///
/// # Panics
/// If `clusters` is 0 although there are points.
pub fn kmeans(points: ArrayView2<'_, f64>, clusters: usize, parameters: &KMeans) -> KMeansFit {
    clustering::kmeans(points, clusters, parameters, &ComputeDevice::CPU).expect("the CPU does not fail")
}

/// The initial labels of VBx.
///
/// # Panics
/// Never: only a GPU can fail.
pub fn vbx_first_labels(embeddings: ArrayView2<'_, f32>, parameters: &Vbx) -> Vec<usize> {
    clustering::vbx_first_labels(embeddings, parameters, &ComputeDevice::CPU).expect("the CPU does not fail")
}

/// VBx on the CPU.
///
/// # Panics
/// If there are not as many labels as features, or no label.
pub fn vbx(features: &Features, labels: &[usize], parameters: &Vbx) -> VbxPosteriors {
    clustering::vbx(features.clone(), labels, parameters, &ComputeDevice::CPU).expect("the CPU does not fail")
}

impl Diarizer {
    /// Runs only the segmentation stage: which local speakers speak in which frame of each chunk, `(chunk,
    /// frame, local speaker)` of 0 and 1.
    ///
    /// # Errors
    /// As [`Self::diarize_with`].
    pub fn segment(&self, samples: &[f32], options: &Options) -> Result<Array3<u8>> {
        let mut listener = self.listen_for_activity(options, |_| ControlFlow::Continue(()))?;
        listener.push(samples)?;
        Ok(listener.embedded()?.segmentations.to_array())
    }

    /// Runs only the embedding stage: one embedding for each local speaker of each chunk, `(chunk, local
    /// speaker, dimension)`, given segmentations of the same samples.
    ///
    /// # Errors
    /// As [`Self::diarize_with`].
    pub fn embed(
        &self,
        samples: &[f32],
        segmentations: ArrayView3<'_, u8>,
        options: &Options,
    ) -> Result<Array3<f32>> {
        let networks = &self.model.networks;
        let parameters = &Parameters { reconstruction: Reconstruction::Votes, ..options.parameters.clone() };
        let context = Context::new(options, Box::new(|_| ControlFlow::Continue(())))?;
        let chunks = networks.chunks(parameters);
        let mut waveform = Waveform::default();
        waveform.push(samples)?;
        let segmentations = Segmentations::from(segmentations);
        let segmented =
            Segmented { waveform: &waveform, chunks: &chunks, segmentations: &segmentations, ended: true };
        let count = SpeakerCounter::new(chunks.window, networks.frames());
        let mut embedder = Embedder::new(networks, &chunks, parameters)?;
        context.on_threads(|| embedder.advance(segmented, &count, networks, parameters, &context))?;
        let (embeddings, _) = embedder.finish();
        Ok(embeddings.expect("this embedder computes embeddings").to_array())
    }
}

/// The intermediate results of the pipeline.
#[derive(Clone, Debug)]
pub struct Stages {
    /// Times of the chunks.
    pub chunks: SlidingWindow,
    /// Times of the frames, both of a chunk and of the whole recording.
    pub frames: SlidingWindow,
    /// `(chunk, frame, local speaker)`: 1 where the speaker speaks.
    pub segmentations: Array3<u8>,
    /// `(frame,)`: number of people speaking, before applying bounds on the number of speakers.
    pub speaker_count: Array1<u8>,
    /// `(chunk, local speaker, dimension)`. `None` if embeddings were not needed.
    pub embeddings: Option<Array3<f32>>,
    /// Embeddings of short windows along the recording, if voices decide who speaks.
    pub window_embeddings: Option<WindowEmbeddings>,
    /// `(chunk, local speaker)`: index of the cluster, or -2 if the speaker never speaks in the chunk.
    pub hard_clusters: Array2<i32>,
    /// `(cluster, dimension)`: mean embedding of each cluster.
    pub centroids: Option<Array2<f32>>,
    /// `(chunk, local speaker)`: how distinct the voice is from those of other speakers, from -1 to 1.
    pub separation: Array2<f32>,
    /// `(frame, cluster)`: 1 where the cluster's speaker speaks.
    pub discrete_diarization: Array2<u8>,
}

impl Embedded {
    /// The results of all stages, clustered with `options`.
    ///
    /// # Errors
    /// As [`Self::cluster`].
    pub fn stages(&self, options: &Options) -> Result<Stages> {
        let clustered = self.assign(options)?;
        Ok(Stages {
            chunks: self.chunks.window,
            frames: self.model.networks.frames(),
            segmentations: self.segmentations.to_array(),
            speaker_count: self.speaker_count.clone().into(),
            embeddings: self.embeddings.as_ref().map(Embeddings::to_array),
            window_embeddings: self.windows.clone(),
            discrete_diarization: clustered.reconstruct(&self.speaker_count),
            hard_clusters: clustered.hard,
            centroids: clustered.centroids,
            separation: clustered.separation,
        })
    }
}

impl Clustered<'_> {
    /// The evidence for each turn of [`Self::diarization`], in the order of the turns.
    pub fn evidence(&self, options: &Options) -> Vec<Evidence> {
        let (turns, labeled) = self.turns(&options.parameters);
        let votes = self.votes();
        let cluster = |speaker: &str| {
            labeled.iter().enumerate().find(|(index, _)| label(*index) == speaker).map_or(0, |(_, &c)| c)
        };
        turns.iter().map(|turn| votes.evidence(turn.start, turn.end, cluster(&turn.speaker))).collect()
    }
}
