//! What the pipeline tells while it runs, and how it is stopped.

use std::{fmt, ops::ControlFlow};

use serde::Serialize;

use crate::{Device, Turn};

/// Hears everything that the pipeline tells, and answers whether to go on: with
/// [`ControlFlow::Break`] the call that is running ends with [`Error::Cancelled`](crate::Error::Cancelled).
///
/// Any closure of this shape is an observer. It is called from one thread at a time.
pub type Observer<'a> = dyn FnMut(Event) -> ControlFlow<()> + Send + 'a;

/// Something that the pipeline tells.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A stage has come this far.
    Progress(Progress),
    /// The result is not quite what was asked for, or is made in another way than asked for.
    Warning(Warning),
    /// A turn that will not change any more. Clustering sees the whole recording, so these come when
    /// it ends, in the order of [`Diarization::turns`](crate::Diarization).
    Turn(Turn),
}

/// How far a stage has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Chunks done; for stages after the networks 0 or 1.
    pub done: usize,
    /// Chunks of the samples that have been given so far; for stages after the networks 1.
    pub total: usize,
}

/// A stage of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
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

/// Why a result is not quite what was asked for. [`fmt::Display`] gives a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum Warning {
    /// Another number of speakers was asked for than can be told apart.
    SpeakerCount {
        /// The number asked for, or the bound nearest to what was found.
        wanted: usize,
        /// The number found.
        found: usize,
        /// Whether a smaller `min_cluster_size` might help.
        min_cluster_size: bool,
    },
    /// The device failed, and the CPU went on, as the options allow.
    MovedToCpu {
        /// The device that failed.
        #[serde(serialize_with = "as_text")]
        device: Device,
        /// What failed, and why.
        reason: String,
    },
    /// The device's memory was too small for a batch.
    SmallerBatch {
        /// The stage whose batch it was.
        stage: Stage,
        /// Chunks in the batch that failed.
        failed: usize,
        /// Chunks in the batches after it.
        now: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpeakerCount { wanted, found, min_cluster_size } => {
                let hint = if *min_cluster_size { ": a smaller min_cluster_size might help" } else { "" };
                write!(f, "asked for {wanted} speakers, found {found}{hint}")
            }
            Self::MovedToCpu { reason, .. } => write!(f, "moved to the CPU: {reason}"),
            Self::SmallerBatch { stage, failed, now } => write!(
                f,
                "{stage}: the device's memory is too small for {failed} chunks at once, continuing with {now}"
            ),
        }
    }
}

fn as_text<S: serde::Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
