//! Events reported by the pipeline while it runs, and cancellation.

use std::{fmt, ops::ControlFlow};

use serde::Serialize;

use crate::{Device, Turn};

/// Receives the pipeline's events and decides whether to continue. If it returns [`ControlFlow::Break`],
/// the current call fails with [`Error::Cancelled`](crate::Error::Cancelled).
///
/// It is called after every batch of a network and, while clustering takes long, every tenth of a second. Distances,
/// k-means, a candidate of spectral clustering, and a single operation on a GPU can take longer.
///
/// Any closure with this signature is an observer. It is called from one thread at a time, often from a thread that
/// computes: it must return soon, and must not run parallel work of its own (such as rayon's, or another
/// diarization), which could wait for this very call.
pub type Observer<'a> = dyn FnMut(Event) -> ControlFlow<()> + Send + 'a;

/// An event reported by the pipeline.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Progress of a stage.
    Progress(Progress),
    /// The result, or how it is computed, differs from what was requested.
    Warning(Warning),
    /// A final turn. Clustering needs the whole recording, so turns are reported when it ends, in the order
    /// of [`Diarization::turns`](crate::Diarization).
    Turn(Turn),
}

/// Progress of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Number of chunks done; 0 or 1 for stages after the networks, where 0 can be reported several times. If the
    /// CPU takes over from a device, the number can return to what it was before the failed call.
    pub done: usize,
    /// Number of chunks expected from the samples received, or announced, so far; 1 for stages after the networks.
    pub total: usize,
}

/// A stage of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// Local segmentation of every chunk.
    Segmentation,
    /// Counting the speakers in every frame.
    SpeakerCounting,
    /// Embedding the local speakers of every chunk.
    Embeddings,
    /// Clustering the embeddings and building the turns.
    Clustering,
}

impl Stage {
    /// A human-readable name.
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

/// A way in which a result differs from what was requested. [`fmt::Display`] gives a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum Warning {
    /// The number of speakers found differs from the number requested.
    SpeakerCount {
        /// The number requested, or the bound that was violated.
        wanted: usize,
        /// The number found.
        found: usize,
        /// Whether a smaller `min_cluster_size` might help.
        min_cluster_size: bool,
    },
    /// The device failed, so the CPU took over, as the options allow.
    MovedToCpu {
        /// The device that failed.
        #[serde(serialize_with = "as_text")]
        device: Device,
        /// The failure and its cause.
        reason: String,
    },
    /// A version of pyannote is reproduced, which does not have some settings that the model was fitted with.
    SettingsLeftOut {
        /// Their names.
        settings: Vec<String>,
    },
    /// A channel carries only the sound of another one, more quietly, so its speech is left out.
    OnlyCrosstalk {
        /// The speaker of the channel.
        speaker: String,
        /// The speaker of the other one.
        other: String,
    },
    /// A speaker sounds like two known people alike, so neither name is used.
    UndecidedVoice {
        /// The label of the speaker.
        speaker: String,
        /// The names of the two people.
        people: [String; 2],
    },
    /// The device did not have enough memory for a batch.
    SmallerBatch {
        /// The stage that the batch belonged to.
        stage: Stage,
        /// Chunks in the batch that failed.
        failed: usize,
        /// Chunks per batch from then on.
        now: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpeakerCount { wanted, found, min_cluster_size } => {
                let hint = if *min_cluster_size { ": a smaller min_cluster_size might help" } else { "" };
                let speakers = if *wanted == 1 { "speaker" } else { "speakers" };
                write!(f, "requested {wanted} {speakers}, found {found}{hint}")
            }
            Self::MovedToCpu { reason, .. } => write!(f, "moved to the CPU: {reason}"),
            Self::SettingsLeftOut { settings } => write!(
                f,
                "pyannote does not have {}, with which this model was fitted: without them, the number of speakers is often \
                 wrong. Reproducing pyannote is meant for its own models",
                settings.join(" and ")
            ),
            Self::OnlyCrosstalk { speaker, other } => {
                write!(
                    f,
                    "the channel of {speaker} carries only the sound of {other}, more quietly: {speaker} has no turns"
                )
            }
            Self::UndecidedVoice { speaker, people: [one, other] } => write!(
                f,
                "{speaker} sounds like {one} and {other} alike, so neither name is used: if they are one person, remove one \
                 of them from the known voices"
            ),
            Self::SmallerBatch { stage, failed, now } => write!(
                f,
                "{stage}: not enough device memory for {failed} chunks at once, continuing with {now}"
            ),
        }
    }
}

fn as_text<S: serde::Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
