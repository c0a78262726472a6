//! The manifest of a model directory: what the weights are, and how the pipeline uses them.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::geometry::receptive_field;
use crate::{
    Error, Parameters, Result,
    math::{Powerset, SlidingWindow},
};

/// The version of the manifest's format that this library reads.
const FORMAT: u32 = 1;
/// Local speakers that a chunk may have; their powerset must stay countable.
const MAX_SPEAKERS: usize = 10;
/// Largest size of an architecture: far beyond any network, and far from an overflow.
const MAX_SIZE: usize = 1 << 20;

/// `manifest.toml` of a model directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format: 1.
    pub format: u32,
    /// What the model is called.
    pub name: String,
    /// The license of its weights, as an SPDX expression where there is one.
    pub license: String,
    /// Where it comes from.
    pub source: String,
    /// File name of the PLDA, which VBx needs: the arrays of `plda.npz` and `xvec_transform.npz` of
    /// pyannote in their own dtypes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plda: Option<String>,
    /// The segmentation network.
    pub segmentation: SegmentationArchitecture,
    /// The embedding network.
    pub embedding: EmbeddingArchitecture,
    /// How voices tell who speaks, which [`Reconstruction::Voices`](crate::Reconstruction) needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voices: Option<VoiceWindows>,
    /// How reliable turns are; without it turns have no confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<ConfidenceFunction>,
    /// Hyper-parameters of the pipeline, each with the value of pyannote 3.1 where absent.
    #[serde(default)]
    pub parameters: Parameters,
    /// SHA-256 of each file that the model was converted from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
}

/// Shape of the `PyanNet` segmentation network (`pyannote/audio/models/segmentation/PyanNet.py`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentationArchitecture {
    /// File name of the weights in the model directory.
    pub weights: String,
    /// Duration of a chunk in seconds.
    pub duration: f64,
    /// Local speakers of a chunk.
    pub speakers: usize,
    /// Local speakers that may speak at once: the powerset has all sets up to this size.
    pub simultaneous_speakers: usize,
    /// For a network without powerset classes, which gives the probability of each speaker by
    /// itself: where decisions change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multilabel: Option<Hysteresis>,
    /// Samples from one output of the sinc filters to the next.
    pub sincnet_stride: usize,
    /// The recurrent layers.
    pub lstm: LstmArchitecture,
    /// The layers between the recurrent ones and the classifier.
    pub linear: LinearArchitecture,
}

impl SegmentationArchitecture {
    /// Number of sets of at most `simultaneous_speakers` of the local speakers.
    pub fn powerset_classes(&self) -> usize {
        Powerset::new(self.speakers, self.simultaneous_speakers).classes()
    }

    /// Outputs of the classifier: a value for each set of speakers, or for each speaker.
    pub fn classes(&self) -> usize {
        if self.multilabel.is_some() { self.speakers } else { self.powerset_classes() }
    }

    /// How much audio each frame of the network sees, and the time from one frame to the next, in seconds.
    pub fn frame_times(&self) -> (f64, f64) {
        let frames = self.receptive_field();
        (frames.duration, frames.step)
    }

    /// When each frame of the network starts and how much audio it sees, in seconds.
    pub(crate) fn receptive_field(&self) -> SlidingWindow {
        receptive_field(self.sincnet_stride)
    }
}

/// Where the decision of whether somebody speaks changes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hysteresis {
    /// A speaker starts where the probability is above this.
    pub onset: f64,
    /// A speaker stops where the probability is below this.
    pub offset: f64,
}

/// Shape of a stack of LSTM layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LstmArchitecture {
    /// Values of the state, in each direction.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Whether each layer runs in both directions.
    pub bidirectional: bool,
}

impl LstmArchitecture {
    /// 1, or 2 where each layer runs in both directions.
    pub fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    /// Values that each step of a layer gives.
    pub fn outputs(&self) -> usize {
        self.directions() * self.hidden_size
    }
}

/// Shape of a stack of linear layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearArchitecture {
    /// Outputs of each layer.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_layers: usize,
}

/// Shape of the embedding network: `WeSpeakerResNet34`, or 152, 221 or 293
/// (`pyannote/audio/models/embedding/wespeaker/resnet.py`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingArchitecture {
    /// File name of the weights in the model directory.
    pub weights: String,
    /// Values of an embedding.
    pub dimension: usize,
    /// Channels of the first stage; each further stage doubles them.
    pub channels: usize,
    /// Residual blocks of each of the four stages.
    pub blocks: [usize; 4],
    /// Whether blocks have three convolutions and give four times as many channels, as those of
    /// the networks of 152 layers and more do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bottleneck: bool,
}

impl EmbeddingArchitecture {
    /// Channels that a block of a stage (from 0) gives.
    pub fn outputs(&self, stage: usize) -> usize {
        (self.channels << stage) * if self.bottleneck { 4 } else { 1 }
    }
}

/// Short windows all along a recording, by whose embeddings voices are told apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoiceWindows {
    /// Difference in cosine similarity that makes a voice `e` times as likely one speaker's as another's.
    pub temperature: f64,
    /// Length of a window in seconds.
    pub duration: f64,
    /// From one window to the next, in seconds.
    pub hop: f64,
}

/// The estimated fraction of a turn actually spoken by its speaker:
/// `1 / (1 + exp(-(bias + factor · agreement · separation)))`, of the agreement of the segmentations and the
/// separation of the voices. A turn is wrong if either of them is low.
///
/// `cargo xtask calibrate` fits the two numbers to a model and its clustering (logistic regression, each
/// turn weighted by its duration). On recordings unlike those of the fit more confidence still means fewer
/// errors, but the fractions are off by as much as the recordings are harder or easier. Speech that
/// nobody was heard to say has no turn, and so no confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfidenceFunction {
    /// The score without evidence.
    pub bias: f64,
    /// How much the evidence counts.
    pub factor: f64,
}

impl Manifest {
    /// Reads the text of the manifest file; `path` is what errors call it.
    ///
    /// # Errors
    /// Text that is not a manifest, or one that asks for what this version does not know.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let wrong = |reason: String| Error::Manifest { path: path.to_owned(), reason };
        let text = std::str::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
        let manifest: Self =
            toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
        if manifest.format != FORMAT {
            return Err(wrong(format!("format {} is not known, only {FORMAT}", manifest.format)));
        }
        let segmentation = &manifest.segmentation;
        let sizes = [
            segmentation.speakers,
            segmentation.simultaneous_speakers,
            segmentation.sincnet_stride,
            segmentation.lstm.hidden_size,
            segmentation.lstm.num_layers,
            manifest.embedding.dimension,
            manifest.embedding.channels,
        ];
        if sizes.iter().any(|&size| size > MAX_SIZE)
            || manifest.embedding.blocks.iter().any(|&blocks| blocks > MAX_SIZE)
        {
            return Err(wrong(format!("a size of an architecture is above {MAX_SIZE}")));
        }
        if sizes.contains(&0) || manifest.embedding.blocks.contains(&0) {
            return Err(wrong("a size of an architecture is 0".into()));
        }
        if segmentation.speakers > MAX_SPEAKERS {
            return Err(wrong(format!(
                "segmentation.speakers is {}, but must be at most {MAX_SPEAKERS}",
                segmentation.speakers
            )));
        }
        if !(segmentation.duration.is_finite() && segmentation.duration > 0.0) {
            return Err(wrong(format!(
                "segmentation.duration is {}, but must be positive",
                segmentation.duration
            )));
        }
        if let Some(Hysteresis { onset, offset }) = segmentation.multilabel
            && !(0.0 <= offset && offset <= onset && onset <= 1.0)
        {
            return Err(wrong(format!(
                "onset {onset} and offset {offset} are not 0 <= offset <= onset <= 1"
            )));
        }
        if let Some(VoiceWindows { temperature, duration, hop }) = manifest.voices
            && ![temperature, duration, hop].iter().all(|number| number.is_finite() && *number > 0.0)
        {
            return Err(wrong("a number of [voices] is not above 0".into()));
        }
        if let Some(ConfidenceFunction { bias, factor }) = manifest.confidence
            && !(bias.is_finite() && factor.is_finite())
        {
            return Err(wrong("a number of [confidence] is not finite".into()));
        }
        manifest.parameters.check().map_err(|error| wrong(format!("parameters: {error}")))?;
        Ok(manifest)
    }

    /// The text of the manifest file.
    ///
    /// # Panics
    /// Never: every manifest can be written as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a manifest holds nothing that TOML lacks")
    }

    /// The manifest of pyannote/speaker-diarization-3.1's architecture, its weights in
    /// `segmentation.safetensors` and `embedding.safetensors`.
    pub fn pyannote_3_1(name: &str, license: &str, source: &str) -> Self {
        Self {
            format: FORMAT,
            name: name.into(),
            license: license.into(),
            source: source.into(),
            plda: None,
            segmentation: SegmentationArchitecture {
                weights: "segmentation.safetensors".into(),
                duration: 10.0,
                speakers: 3,
                simultaneous_speakers: 2,
                multilabel: None,
                sincnet_stride: 10,
                lstm: LstmArchitecture { hidden_size: 128, num_layers: 4, bidirectional: true },
                linear: LinearArchitecture { hidden_size: 128, num_layers: 2 },
            },
            embedding: EmbeddingArchitecture {
                weights: "embedding.safetensors".into(),
                dimension: 256,
                channels: 32,
                blocks: [3, 4, 6, 3],
                bottleneck: false,
            },
            voices: None,
            confidence: None,
            parameters: Parameters::default(),
            inputs: BTreeMap::new(),
        }
    }
}
