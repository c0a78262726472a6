//! Options for a recording, and the hyper-parameters that come with a model.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    Error, Result,
    clustering::{Method, Settings},
};

/// Options for one recording. [`crate::Diarizer::options`] returns the model's defaults.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Exact number of speakers, if known. Takes precedence over the two bounds.
    pub num_speakers: Option<usize>,
    /// Minimum number of speakers.
    pub min_speakers: Option<usize>,
    /// Maximum number of speakers.
    pub max_speakers: Option<usize>,
    /// Number of CPU threads. Each recording then has threads of its own. With `None`, all recordings share one
    /// thread for each core. Does not affect the result.
    pub threads: Option<usize>,
    /// Allow falling back to the CPU, with a [`Warning`](crate::Warning), if the device does not support an
    /// operation or runs out of memory. If `false`, that is an error.
    pub allow_cpu_fallback: bool,
    /// Hyper-parameters of the pipeline.
    pub parameters: Parameters,
}

impl Options {
    /// Options with these parameters, any number of speakers, and all CPU threads.
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

    /// Sets the exact number of speakers.
    #[must_use]
    pub fn with_num_speakers(self, speakers: usize) -> Self {
        Self { num_speakers: Some(speakers), ..self }
    }

    /// Sets the minimum number of speakers.
    #[must_use]
    pub fn with_min_speakers(self, speakers: usize) -> Self {
        Self { min_speakers: Some(speakers), ..self }
    }

    /// Sets the maximum number of speakers.
    #[must_use]
    pub fn with_max_speakers(self, speakers: usize) -> Self {
        Self { max_speakers: Some(speakers), ..self }
    }

    /// Sets the number of CPU threads.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads: Some(threads), ..self }
    }

    /// Allows falling back to the CPU if the device fails.
    #[must_use]
    pub fn with_cpu_fallback(self) -> Self {
        Self { allow_cpu_fallback: true, ..self }
    }

    /// Checks all options. The pipeline does this before any work.
    ///
    /// # Errors
    /// Names the first invalid option.
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
        if matches!(self.parameters.clustering.method, Method::KMeans(_)) && min < 2 && max != Some(1) {
            return Err(Error::NoSpeakerCount);
        }
        self.parameters.check()
    }

    /// Whether clustering needs embeddings. A single speaker needs none, but VBx returns one for that speaker anyway.
    pub(crate) fn need_embeddings(&self) -> bool {
        let vbx = matches!(self.parameters.clustering.method, Method::Vbx(_));
        vbx || self.speaker_bounds().max != Some(1)
    }

    /// The bounds on the number of speakers, interpreted as in pyannote's `SpeakerDiarization.apply`.
    pub(crate) fn speaker_bounds(&self) -> SpeakerBounds {
        SpeakerBounds {
            min: self.num_speakers.or(self.min_speakers).unwrap_or(1),
            max: self.num_speakers.or(self.max_speakers),
        }
    }
}

/// Inclusive bounds on the number of speakers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeakerBounds {
    /// Minimum; at least 1.
    pub min: usize,
    /// Maximum; `None` for no upper bound.
    pub max: Option<usize>,
}

/// Hyper-parameters of the pipeline. Names are those of pyannote's `config.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Parameters {
    /// Step between chunks, as a fraction of the chunk duration (0.1 of ten seconds is one second).
    pub segmentation_step: f64,
    /// How the set of speakers in a frame is chosen. Non-powerset networks support only
    /// [`Decoding::Argmax`].
    pub decoding: Decoding,
    /// Chunks per batch of the segmentation network on a GPU; `None` for the default. The size is halved if
    /// memory runs out. Does not affect the result.
    pub segmentation_batch_size: Option<usize>,
    /// Chunks per batch of the embedding network on a GPU; see `segmentation_batch_size`.
    pub embedding_batch_size: Option<usize>,
    /// Compute embeddings only from frames in which the speaker speaks alone, if there are enough.
    pub embedding_exclude_overlap: bool,
    /// Whether the embedding network's residual layers run on each chunk or once on the recording.
    pub embedding_trunk: EmbeddingTrunk,
    /// How the speakers of each frame are chosen.
    pub reconstruction: Reconstruction,
    /// Minimum duration of a turn, in seconds; shorter turns are dropped.
    pub min_duration_on: f64,
    /// Minimum duration of a pause between turns of one speaker, in seconds; shorter pauses are filled.
    pub min_duration_off: f64,
    /// How embeddings are clustered into speakers.
    pub clustering: Settings,
}

/// How the set of speakers in a frame of a chunk is chosen. The segmentation network gives each set `S` a
/// probability `p(S)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Decoding {
    /// The most probable set, as in pyannote.
    #[default]
    Argmax,
    /// The set with the lowest expected diarization error: the set `A` that minimizes
    /// `Σ_S p(S) (max(|A|, |S|) - |A ∩ S|)`. The factor of `p(S)` is the number of missed, false and confused
    /// speakers if `S` is the truth.
    ///
    /// It differs from the most probable set where the network is uncertain: if silence is more probable
    /// than any other single set, but less probable than speech as a whole, it chooses speech.
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

/// Whether the embedding network's residual layers, which take most of the pipeline's time, run on each
/// chunk or once on the recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EmbeddingTrunk {
    /// On each chunk separately, as in pyannote. Chunks overlap, so every second of audio is processed many
    /// times.
    #[default]
    Chunk,
    /// Once on the whole recording: several times faster. Embeddings differ slightly, because frames see
    /// context beyond their chunk and the features are centered by a sliding mean.
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

/// How the speakers of each frame are chosen, given how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reconstruction {
    /// By votes: the number of chunks containing the frame in which the speaker is active there, as in
    /// pyannote.
    #[default]
    Votes,
    /// By two equally weighted scores: the fraction of those chunks, and how similar the voice in the
    /// second around the frame is to the speaker's. This corrects confusions within chunks: if the
    /// segmentation network takes two people for one local speaker, all votes of that chunk go to one of
    /// them.
    ///
    /// Requires [`EmbeddingTrunk::Shared`], which makes embeddings of short windows cheap, and a model
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

/// The value whose name is `text`.
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
    /// Sets `embedding_trunk`. With [`EmbeddingTrunk::Chunk`], also resets `reconstruction` to votes.
    pub fn set_embedding_trunk(&mut self, trunk: EmbeddingTrunk) {
        self.embedding_trunk = trunk;
        if trunk == EmbeddingTrunk::Chunk {
            self.reconstruction = Reconstruction::Votes;
        }
    }

    /// The first parameter on which the output of the networks depends and which is different in `other`.
    pub(crate) fn other_for_networks(&self, other: &Self) -> Option<&'static str> {
        let Self {
            segmentation_step,
            decoding,
            embedding_exclude_overlap,
            embedding_trunk,
            segmentation_batch_size: _,
            embedding_batch_size: _,
            reconstruction: _,
            min_duration_on: _,
            min_duration_off: _,
            clustering: _,
        } = self;
        let different = [
            ("segmentation_step", *segmentation_step != other.segmentation_step),
            ("decoding", *decoding != other.decoding),
            ("embedding_exclude_overlap", *embedding_exclude_overlap != other.embedding_exclude_overlap),
            ("embedding_trunk", *embedding_trunk != other.embedding_trunk),
        ];
        different.into_iter().find_map(|(name, different)| different.then_some(name))
    }

    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |option, value: &dyn std::fmt::Display, requirement| {
            Err(Error::InvalidOption { option, value: value.to_string(), requirement })
        };
        for (option, seconds) in
            [("min_duration_on", self.min_duration_on), ("min_duration_off", self.min_duration_off)]
        {
            if !(seconds.is_finite() && seconds >= 0.0) {
                return wrong(option, &seconds, "a non-negative number of seconds");
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
        if !(0.001..=1.0).contains(&self.segmentation_step) {
            return wrong(
                "segmentation_step",
                &self.segmentation_step,
                "a fraction of the chunk duration from 0.001 to 1",
            );
        }
        if self.reconstruction == Reconstruction::Voices && self.embedding_trunk != EmbeddingTrunk::Shared {
            return wrong("reconstruction", &self.reconstruction, "votes when embedding_trunk is chunk");
        }
        self.clustering.check()
    }
}

impl Default for Parameters {
    /// The parameters of pyannote/speaker-diarization-3.1.
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
