//! What the pipeline gives, and what it tells while it runs.

use std::fmt;

use ndarray::{Array1, Array2, Array3};

use crate::{Turn, frames::SlidingWindow, reconstruct::WindowEmbeddings};

/// Who spoke when in one recording.
#[derive(Clone, Debug)]
pub struct Diarization {
    /// The turns, by start, then by end. Those of different speakers may overlap. The last chunk is
    /// padded with silence, so a turn may end a little after the audio, as pyannote's do.
    pub turns: Vec<Turn>,
    /// The turns if only one may speak at a time, for joining them with a transcript: where several speak at
    /// once, the one for whom most speaks (see [`Reconstruction`](crate::Reconstruction)). Speakers are named as
    /// in `turns`.
    pub exclusive: Vec<Turn>,
    /// The speakers of the turns, in the order of their labels.
    pub speakers: Vec<Speaker>,
    /// What the stages gave, for those who build on them.
    pub stages: Stages,
}

/// One speaker of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Speaker {
    /// The name in the turns: `SPEAKER_00`, `SPEAKER_01` and so on.
    pub label: String,
    /// Seconds of all turns together.
    pub duration: f64,
    /// The share of that time in which the speaker is expected to speak really, from 0 to 1: the mean
    /// of the turns' by their time (see [`crate::confidence`]).
    pub confidence: Option<f64>,
    /// Mean of the embeddings of the speaker's cluster, not normalised. `None` where embeddings were
    /// not needed (one speaker was asked for, and the method is not VBx), or where more people spoke at once than clusters exist.
    pub embedding: Option<Vec<f32>>,
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
    /// `(chunk, local speaker, dimension)`; a speaker who never speaks in the chunk has the value
    /// that a mask of zeros gives. `None` where embeddings were not needed.
    pub embeddings: Option<Array3<f32>>,
    /// Embeddings of short windows all along the recording, with [`Reconstruction::Voices`](crate::Reconstruction)
    /// and where embeddings were needed.
    pub window_embeddings: Option<WindowEmbeddings>,
    /// `(chunk, local speaker)`: the cluster, or -2 for one who never speaks in the chunk.
    pub hard_clusters: Array2<i32>,
    /// `(cluster, dimension)`: mean embedding of each cluster.
    pub centroids: Option<Array2<f32>>,
    /// `(chunk, local speaker)`: how far the voice is from those of other speakers, from -1 to 1 (see
    /// [`crate::confidence`]); 1 where embeddings were not needed.
    pub separation: Array2<f32>,
    /// `(frame, cluster)`: 1 where the cluster's speaker speaks.
    pub discrete_diarization: Array2<u8>,
}

/// How far a stage has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Chunks done.
    pub done: usize,
    /// Chunks in all.
    pub total: usize,
}

/// A stage of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Local segmentation of every chunk.
    Segmentation,
    /// Counting the speakers of every frame.
    SpeakerCounting,
    /// Embedding the local speakers of every chunk.
    Embeddings,
    /// Clustering the embeddings and putting the turns together.
    Clustering,
}

impl Stage {
    /// The stage in words.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Segmentation => "segmentation",
            Stage::SpeakerCounting => "speaker counting",
            Stage::Embeddings => "embeddings",
            Stage::Clustering => "clustering",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
