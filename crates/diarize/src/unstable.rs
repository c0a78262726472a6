//! The stages' arrays and functions, for tests, benches and tools. No promise is made about them.

use ndarray::{Array1, Array2, Array3};

use crate::{Device, Embedded, Options, Result, embedded::Clustered};

pub use crate::{
    clustering::internals::*,
    math::{INACTIVE, Powerset, SlidingWindow, assign_distinct, best_assignment, normalized},
    model::{
        geometry::{num_frames, receptive_field},
        weights::Weights,
    },
    networks::{
        PyanNet, WeSpeaker,
        pyannet::{Lstm, LstmLayer, SincBlock, SincNet, sinc_filters},
        wespeaker::{Fbank, ResNet, ResidualBlock, resize_nearest, stats_pool},
    },
    stages::internals::*,
};

/// The device of the tensor library that `device` stands for.
///
/// # Errors
/// This build cannot use it, or the machine has none.
pub fn open(device: Device) -> Result<candle_core::Device> {
    device.open()
}

/// The intermediate results of the pipeline.
#[derive(Clone, Debug)]
pub struct Stages {
    /// When the chunks start, in seconds.
    pub chunks: SlidingWindow,
    /// When the frames of a chunk, and those of the whole recording, start, in seconds.
    pub frames: SlidingWindow,
    /// `(chunk, frame, local speaker)`: 1 where the speaker speaks.
    pub segmentations: Array3<u8>,
    /// `(frame,)`: how many people speak, before any bound on the number of speakers.
    pub speaker_count: Array1<u8>,
    /// `(chunk, local speaker, dimension)`. `None` if embeddings were not needed.
    pub embeddings: Option<Array3<f32>>,
    /// Embeddings of short windows all along the recording, if voices decide who speaks.
    pub window_embeddings: Option<WindowEmbeddings>,
    /// `(chunk, local speaker)`: the cluster, or -2 for one who never speaks in the chunk.
    pub hard_clusters: Array2<i32>,
    /// `(cluster, dimension)`: mean embedding of each cluster.
    pub centroids: Option<Array2<f32>>,
    /// `(chunk, local speaker)`: how far the voice is from those of other speakers, from -1 to 1.
    pub separation: Array2<f32>,
    /// `(frame, cluster)`: 1 where the cluster's speaker speaks.
    pub discrete_diarization: Array2<u8>,
}

impl Embedded {
    /// All stages, clustered with `options`.
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
    /// The evidence that each turn of [`Self::diarization`] is right, in their order.
    pub fn evidence(&self, options: &Options) -> Vec<Evidence> {
        let parameters = &options.parameters;
        let (on, off) = (parameters.min_duration_on, parameters.min_duration_off);
        let frames = self.embedded.model.networks.frames();
        let speaking = self.reconstruct(&self.embedded.speaker_count); // (frame, cluster)
        let (turns, labelled) = turns(speaking.view(), frames, on, off, parameters.clustering.compat);
        let votes = self.votes();
        let cluster = |speaker: &str| {
            labelled.iter().enumerate().find(|(index, _)| label(*index) == speaker).map_or(0, |(_, &c)| c)
        };
        turns.iter().map(|turn| votes.evidence(turn.start, turn.end, cluster(&turn.speaker))).collect()
    }
}
