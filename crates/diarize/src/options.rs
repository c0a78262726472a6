//! What a caller may choose, and the hyper-parameters that come with a model.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, clustering::Settings};

/// What a caller may choose for one recording. [`crate::Diarizer::options`] gives the model's own.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// The exact number of speakers, if it is known. Takes precedence over the two bounds.
    pub num_speakers: Option<usize>,
    /// At least this many speakers.
    pub min_speakers: Option<usize>,
    /// At most this many speakers.
    pub max_speakers: Option<usize>,
    /// Processor threads; `None` for all. The result does not depend on it.
    pub threads: Option<usize>,
    /// Allow falling back to the CPU, with a [`Warning`](crate::Warning), if the device lacks an operation
    /// or memory. Otherwise that is an error.
    pub allow_cpu_fallback: bool,
    /// Hyper-parameters of the pipeline.
    pub parameters: Parameters,
}

impl Options {
    /// Nothing known of the speakers, all processor threads.
    pub fn new(parameters: Parameters) -> Self {
        Self {
            num_speakers: None,
            min_speakers: None,
            max_speakers: None,
            threads: None,
            allow_cpu_fallback: false,
            parameters,
        }
    }

    /// The same with an exact number of speakers.
    #[must_use]
    pub fn with_num_speakers(self, speakers: usize) -> Self {
        Self { num_speakers: Some(speakers), ..self }
    }

    /// The same with at least this many speakers.
    #[must_use]
    pub fn with_min_speakers(self, speakers: usize) -> Self {
        Self { min_speakers: Some(speakers), ..self }
    }

    /// The same with at most this many speakers.
    #[must_use]
    pub fn with_max_speakers(self, speakers: usize) -> Self {
        Self { max_speakers: Some(speakers), ..self }
    }

    /// The same with this many processor threads.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads: Some(threads), ..self }
    }

    /// The same with the CPU stepping in for a device that fails.
    #[must_use]
    pub fn with_cpu_fallback(self) -> Self {
        Self { allow_cpu_fallback: true, ..self }
    }

    /// Checks every option, as the pipeline does before any work.
    ///
    /// # Errors
    /// The first option that makes no sense.
    pub fn check(&self) -> Result<()> {
        for (option, value) in [
            ("num_speakers", self.num_speakers),
            ("min_speakers", self.min_speakers),
            ("max_speakers", self.max_speakers),
            ("threads", self.threads),
        ] {
            if value == Some(0) {
                return Err(Error::InvalidOption { option, value: "0".into(), requirement: "at least 1" });
            }
        }
        let SpeakerBounds { min, max } = self.speaker_bounds();
        if let Some(max) = max.filter(|&max| min > max) {
            return Err(Error::InvalidOption {
                option: "min_speakers",
                value: format!("{min} with max_speakers {max}"),
                requirement: "at most max_speakers",
            });
        }
        self.parameters.check()
    }

    /// The bounds on the number of speakers, as pyannote's `SpeakerDiarization.apply` reads them.
    pub(crate) fn speaker_bounds(&self) -> SpeakerBounds {
        SpeakerBounds {
            min: self.num_speakers.or(self.min_speakers).unwrap_or(1),
            max: self.num_speakers.or(self.max_speakers),
        }
    }
}

/// What to do where pyannote fails or surprises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Compat {
    /// What users expect:
    /// - Where too few local speakers speak alone for long enough (a file of a few seconds), all who
    ///   speak are clustered.
    /// - Where more speakers are asked for than can be told apart, as many as can be.
    /// - Local speakers who are silent take no cluster from those who speak.
    /// - A single cluster takes everyone.
    /// - No more people speak at once than speakers were found.
    /// - Speakers are numbered in the order of their clusters.
    /// - In the exclusive diarization no pause is filled, which could put two speakers at one time.
    #[default]
    Off,
    /// What pyannote.audio does, to the letter:
    /// - Where fewer than two speak alone for long enough, all are one cluster.
    /// - With VBx, asking for more speakers than there are embeddings is an error.
    /// - With a method other than VBx, silent local speakers take part in [`Assignment::Distinct`](crate::clustering::Assignment).
    /// - [`Assignment::Distinct`](crate::clustering::Assignment) with one cluster takes one local speaker of each chunk.
    /// - Where more people speak at once than speakers were found, speakers are added for them.
    /// - Speakers are numbered in the order of their clusters' numbers as text: 0, 1, 10, 11, 2, …
    /// - In the exclusive diarization pauses are filled as in the overlapping one.
    Pyannote,
}

/// Bounds on the number of speakers: `min` to `max`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeakerBounds {
    /// At least 1.
    pub min: usize,
    /// `None` for no upper bound.
    pub max: Option<usize>,
}

/// Hyper-parameters of the pipeline, named as in pyannote's `config.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Parameters {
    /// Hop between chunks, as a fraction of the chunk's duration (0.1: one second of ten).
    pub segmentation_step: f64,
    /// Which set of speakers is chosen in a frame. Non-powerset networks support only
    /// [`Decoding::Argmax`].
    pub decoding: Decoding,
    /// Chunks given to the segmentation network at once on a GPU; `None` for a default. Half as many are
    /// tried if its memory is too small. The result does not depend on it.
    pub segmentation_batch_size: Option<usize>,
    /// The same for the embedding network.
    pub embedding_batch_size: Option<usize>,
    /// Embed a speaker from the frames in which nobody else speaks, if there are enough of them.
    pub embedding_exclude_overlap: bool,
    /// What the embedding network's residual layers run over.
    pub embedding_trunk: EmbeddingTrunk,
    /// How it is decided which speakers speak in a frame.
    pub reconstruction: Reconstruction,
    /// Turns shorter than this many seconds are dropped.
    pub min_duration_on: f64,
    /// Pauses of one speaker shorter than this many seconds are filled.
    pub min_duration_off: f64,
    /// How embeddings become speakers.
    pub clustering: Settings,
}

/// Which set of a chunk's speakers is chosen in a frame. The segmentation network gives each set `S` a
/// probability `p(S)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decoding {
    /// The most probable one, as pyannote does.
    #[default]
    Argmax,
    /// The one with the lowest expected diarization error: the set `A` with the smallest
    /// `Σ_S p(S) (max(|A|, |S|) - |A ∩ S|)`. If the speakers of `S` speak, the answer `A` misses, invents and
    /// confuses that many speakers.
    ///
    /// It differs from the most probable set where the network is unsure: if somebody speaks more probably
    /// than not, but each set by itself is less probable than silence, somebody is heard to speak.
    LeastError,
}

impl fmt::Display for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argmax => "argmax",
            Self::LeastError => "least_error",
        })
    }
}

impl FromStr for Decoding {
    type Err = Error;

    /// `argmax` or `least_error`.
    fn from_str(text: &str) -> Result<Self> {
        by_name(&[Self::Argmax, Self::LeastError], text, "decoding", "argmax or least_error")
    }
}

/// What the residual layers of the embedding network run over. They are nearly all of the pipeline's work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EmbeddingTrunk {
    /// Each chunk by itself, as pyannote does. Chunks overlap, so every second of audio is seen many times.
    #[default]
    Chunk,
    /// The recording once, for all chunks: several times faster. Embeddings differ a little, since
    /// frames see beyond their chunk and a sliding mean is taken off the features.
    Shared,
}

impl fmt::Display for EmbeddingTrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chunk => "chunk",
            Self::Shared => "shared",
        })
    }
}

impl FromStr for EmbeddingTrunk {
    type Err = Error;

    /// `chunk` or `shared`.
    fn from_str(text: &str) -> Result<Self> {
        by_name(&[Self::Chunk, Self::Shared], text, "embedding_trunk", "chunk or shared")
    }
}

/// How it is decided which speakers speak in a frame, once it is known how many do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reconstruction {
    /// By the number of chunks that hold the frame in which each of them speaks, as pyannote does.
    #[default]
    Votes,
    /// By two equally weighted scores: the fraction of these chunks, and how much the voice in the second
    /// around the frame sounds like each of them. That corrects confusions within chunks: if the
    /// segmentation network takes two people for one local speaker, all votes of that chunk go to one of
    /// them.
    ///
    /// Needs [`EmbeddingTrunk::Shared`], from which a second's embedding costs next to nothing, and a model
    /// whose manifest has [`VoiceWindows`](crate::model::VoiceWindows).
    Voices,
}

impl fmt::Display for Reconstruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Votes => "votes",
            Self::Voices => "voices",
        })
    }
}

impl FromStr for Reconstruction {
    type Err = Error;

    /// `votes` or `voices`.
    fn from_str(text: &str) -> Result<Self> {
        by_name(&[Self::Votes, Self::Voices], text, "reconstruction", "votes or voices")
    }
}

/// The value that is written as `text`.
fn by_name<T: Copy + fmt::Display>(
    values: &[T],
    text: &str,
    option: &'static str,
    requirement: &'static str,
) -> Result<T> {
    let found = values.iter().find(|value| value.to_string() == text).copied();
    found.ok_or_else(|| Error::InvalidOption { option, value: text.to_owned(), requirement })
}

impl Parameters {
    /// Chooses what the embedding network runs over. With [`EmbeddingTrunk::Chunk`], votes decide who speaks.
    pub fn set_embedding_trunk(&mut self, trunk: EmbeddingTrunk) {
        self.embedding_trunk = trunk;
        if trunk == EmbeddingTrunk::Chunk {
            self.reconstruction = Reconstruction::Votes;
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |option, value: &dyn std::fmt::Display, requirement| {
            Err(Error::InvalidOption { option, value: value.to_string(), requirement })
        };
        for (option, seconds) in
            [("min_duration_on", self.min_duration_on), ("min_duration_off", self.min_duration_off)]
        {
            if !(seconds.is_finite() && seconds >= 0.0) {
                return wrong(option, &seconds, "a number of seconds, 0 or more");
            }
        }
        for (option, size) in [
            ("segmentation_batch_size", self.segmentation_batch_size),
            ("embedding_batch_size", self.embedding_batch_size),
        ] {
            if size == Some(0) {
                return wrong(option, &0, "at least 1");
            }
        }
        if !(self.segmentation_step > 0.0 && self.segmentation_step <= 1.0) {
            return wrong(
                "segmentation_step",
                &self.segmentation_step,
                "more than 0 and at most 1, a share of the chunk",
            );
        }
        if self.reconstruction == Reconstruction::Voices && self.embedding_trunk != EmbeddingTrunk::Shared {
            return wrong("reconstruction", &self.reconstruction, "votes with the embedding trunk chunk");
        }
        self.clustering.check()
    }
}

impl Default for Parameters {
    /// The values of pyannote/speaker-diarization-3.1.
    fn default() -> Self {
        Self {
            segmentation_step: 0.1,
            decoding: Decoding::default(),
            segmentation_batch_size: None,
            embedding_batch_size: None,
            embedding_exclude_overlap: true,
            embedding_trunk: EmbeddingTrunk::default(),
            reconstruction: Reconstruction::default(),
            min_duration_on: 0.0,
            min_duration_off: 0.0,
            clustering: Settings::default(),
        }
    }
}
