//! The result: who spoke when in one recording.

use serde::{Deserialize, Serialize};

use crate::Warning;

/// Who spoke when in one recording.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Diarization {
    /// The turns, sorted by start, then by end. Turns of different speakers may overlap. The last chunk is
    /// padded with silence, so a turn may end slightly after the audio does, as in pyannote.
    pub turns: Vec<Turn>,
    /// The turns if only one speaker may speak at a time, useful for aligning with a transcript. Where
    /// several people speak at once, the speaker with the most evidence is kept (see
    /// [`Reconstruction`](crate::Reconstruction)). Labels are the same as in `turns`.
    pub exclusive: Vec<Turn>,
    /// The speakers of the turns, in the order of their labels.
    pub speakers: Vec<Speaker>,
    /// Ways in which the result differs from what was requested.
    pub warnings: Vec<Warning>,
}

/// A span of time in which one speaker speaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// In seconds from the first sample of the recording.
    pub start: f64,
    /// In seconds from the first sample of the recording.
    pub end: f64,
    /// Name of the speaker.
    pub speaker: String,
    /// Estimated fraction of the turn actually spoken by this speaker, from 0 to 1. `None` if the model has
    /// no confidence function, or if the turn comes from elsewhere, such as an RTTM file.
    #[serde(default)]
    pub confidence: Option<f64>,
}

impl Turn {
    /// A turn without a confidence; times in seconds.
    pub fn new(start: f64, end: f64, speaker: impl Into<String>) -> Self {
        Self { start, end, speaker: speaker.into(), confidence: None }
    }
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// In seconds from the start of the recording.
    pub start: f64,
    /// In seconds from the start of the recording.
    pub end: f64,
}

/// One speaker of a recording.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Speaker {
    /// The name in the turns: `SPEAKER_00`, `SPEAKER_01` and so on.
    pub label: String,
    /// Total duration of this speaker's turns, in seconds.
    pub duration: f64,
    /// Estimated fraction of that time actually spoken by this speaker, from 0 to 1: the mean of the
    /// turns' confidences, weighted by their duration.
    pub confidence: Option<f64>,
    /// Mean of the embeddings in the speaker's cluster, not normalized. `None` if embeddings were not
    /// needed (one speaker was requested, and the method is not VBx), or if the speaker was added because
    /// more people spoke at once than there are clusters.
    pub embedding: Option<Vec<f32>>,
}
