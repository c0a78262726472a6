//! The manifest of a model directory: describes the weights and the pipeline's parameters.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::geometry::{num_frames, receptive_field};
use crate::{
    Error, Parameters, Result, SAMPLE_RATE,
    math::{Powerset, SlidingWindow},
};

/// The manifest format version that this library reads.
const FORMAT: u32 = 1;
/// Maximum number of local speakers per chunk; keeps the powerset small.
const MAX_SPEAKERS: usize = 10;
/// Maximum value of a size in an architecture: far above any real network, but safe from overflow.
const MAX_SIZE: usize = 1 << 20;
/// Maximum duration in a manifest, in seconds.
const MAX_SECONDS: f64 = 3600.0;

/// `manifest.toml` of a model directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format: 1.
    pub format: u32,
    /// Name of the model.
    pub name: String,
    /// License of the weights, as an SPDX expression if there is one.
    pub license: String,
    /// Origin of the weights.
    pub source: String,
    /// File name of the PLDA model, required by VBx: the arrays of pyannote's `plda.npz` and
    /// `xvec_transform.npz` in their original dtypes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plda: Option<String>,
    /// The segmentation network.
    pub segmentation: SegmentationArchitecture,
    /// The embedding network.
    pub embedding: EmbeddingArchitecture,
    /// Short windows for comparing voices, required by [`Reconstruction::Voices`](crate::Reconstruction).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voices: Option<VoiceWindows>,
    /// Function for the confidence of turns; without it turns have no confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<ConfidenceFunction>,
    /// Hyper-parameters of the pipeline; missing ones have the value of pyannote 3.1.
    #[serde(default)]
    pub parameters: Parameters,
    /// SHA-256 of each file the model was converted from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
}

/// Architecture of the `PyanNet` segmentation network (`pyannote/audio/models/segmentation/PyanNet.py`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentationArchitecture {
    /// File name of the weights in the model directory.
    pub weights: String,
    /// Duration of a chunk in seconds.
    pub duration: f64,
    /// Maximum number of local speakers in a chunk.
    pub speakers: usize,
    /// Maximum number of simultaneous local speakers: the powerset contains all sets up to this size.
    pub simultaneous_speakers: usize,
    /// Thresholds for a network without powerset classes, which outputs one probability per speaker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multilabel: Option<Hysteresis>,
    /// Stride of the sinc filters in samples.
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

    /// Number of classifier outputs: one per set of speakers, or one per speaker.
    pub fn classes(&self) -> usize {
        if self.multilabel.is_some() { self.speakers } else { self.powerset_classes() }
    }

    /// Receptive field of a frame, and the step between frames, in seconds.
    pub fn frame_times(&self) -> (f64, f64) {
        let frames = self.receptive_field();
        (frames.duration, frames.step)
    }

    /// Start, step and receptive field of the network's frames, in seconds.
    pub(crate) fn receptive_field(&self) -> SlidingWindow {
        receptive_field(self.sincnet_stride)
    }
}

/// Thresholds for deciding whether a speaker is active.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hysteresis {
    /// A speaker becomes active when the probability rises above this.
    pub onset: f64,
    /// A speaker becomes inactive when the probability falls below this.
    pub offset: f64,
}

/// Architecture of a stack of LSTM layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LstmArchitecture {
    /// Size of the hidden state, per direction.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_layers: usize,
    /// Whether each layer runs in both directions.
    pub bidirectional: bool,
}

impl LstmArchitecture {
    /// Number of directions: 2 if bidirectional, otherwise 1.
    pub fn directions(&self) -> usize {
        1 + usize::from(self.bidirectional)
    }

    /// Number of outputs per step of a layer.
    pub fn outputs(&self) -> usize {
        self.directions() * self.hidden_size
    }
}

/// Architecture of a stack of linear layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearArchitecture {
    /// Number of outputs of each layer.
    pub hidden_size: usize,
    /// Number of layers.
    pub num_layers: usize,
}

/// Architecture of the embedding network: `WeSpeakerResNet34`, or 152, 221 or 293
/// (`pyannote/audio/models/embedding/wespeaker/resnet.py`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddingArchitecture {
    /// File name of the weights in the model directory.
    pub weights: String,
    /// Dimension of an embedding.
    pub dimension: usize,
    /// Channels of the first stage; each further stage doubles them.
    pub channels: usize,
    /// Number of residual blocks in each of the four stages.
    pub blocks: [usize; 4],
    /// Whether blocks are bottlenecks: three convolutions and four times as many output channels, as in
    /// networks of 152 layers and more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bottleneck: bool,
}

impl EmbeddingArchitecture {
    /// Output channels of the blocks in a stage (counted from 0).
    pub fn outputs(&self, stage: usize) -> usize {
        (self.channels << stage) * if self.bottleneck { 4 } else { 1 }
    }
}

/// Short windows along a recording whose embeddings are compared with the speakers' voices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoiceWindows {
    /// Difference in cosine similarity that makes one speaker `e` times as likely as another.
    pub temperature: f64,
    /// Length of a window in seconds.
    pub duration: f64,
    /// Step between windows in seconds.
    pub hop: f64,
}

/// The estimated fraction of a turn actually spoken by its speaker:
/// `1 / (1 + exp(-(bias + factor · agreement · separation)))`, where `agreement` is the agreement of the
/// segmentations and `separation` the separation of the voices. A turn is likely wrong if either is low.
///
/// `cargo xtask calibrate` fits the two parameters to a model and its clustering (logistic regression, each
/// turn weighted by its duration). On recordings unlike those used for fitting, higher confidence still
/// means fewer errors, but the fractions are too high for harder recordings and too low for easier ones.
/// Missed speech has no turn, and therefore no confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfidenceFunction {
    /// The logit without evidence.
    pub bias: f64,
    /// Weight of the evidence.
    pub factor: f64,
}

impl Manifest {
    /// Parses the content of a manifest file; `path` is used in error messages.
    ///
    /// # Errors
    /// If the content is not a valid manifest, or requires something that this version does not support.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let wrong = |reason: String| Error::Manifest { path: path.to_owned(), reason };
        let text = std::str::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
        let text = text.trim_start_matches('\u{feff}');
        let manifest: Self =
            toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
        if manifest.format != FORMAT {
            return Err(wrong(format!("format {} is not supported, only {FORMAT}", manifest.format)));
        }
        manifest.check(path)?;
        Ok(manifest)
    }

    /// Checks that all sizes and numbers are within bounds; `path` is used in error messages.
    pub(crate) fn check(&self, path: &Path) -> Result<()> {
        let wrong = |reason: String| Error::Manifest { path: path.to_owned(), reason };
        let segmentation = &self.segmentation;
        let sizes = [
            segmentation.speakers,
            segmentation.simultaneous_speakers,
            segmentation.sincnet_stride,
            segmentation.lstm.hidden_size,
            segmentation.lstm.num_layers,
            self.embedding.dimension,
            self.embedding.channels,
        ];
        if sizes.iter().any(|&size| size > MAX_SIZE)
            || self.embedding.blocks.iter().any(|&blocks| blocks > MAX_SIZE)
        {
            return Err(wrong(format!("a size in an architecture is above {MAX_SIZE}")));
        }
        if sizes.contains(&0) || self.embedding.blocks.contains(&0) {
            return Err(wrong("a size in an architecture is 0".into()));
        }
        if segmentation.speakers > MAX_SPEAKERS {
            return Err(wrong(format!(
                "segmentation.speakers is {}, but must be at most {MAX_SPEAKERS}",
                segmentation.speakers
            )));
        }
        if !(segmentation.duration > 0.0 && segmentation.duration <= MAX_SECONDS) {
            return Err(wrong(format!(
                "segmentation.duration is {}, but must be positive and at most {MAX_SECONDS} s",
                segmentation.duration
            )));
        }
        let samples = (segmentation.duration * f64::from(SAMPLE_RATE)) as usize;
        if num_frames(segmentation.sincnet_stride, samples) == 0 {
            return Err(wrong(format!(
                "segmentation.duration is {}, but the networks need longer chunks with sincnet_stride = {}",
                segmentation.duration, segmentation.sincnet_stride
            )));
        }
        if let Some(Hysteresis { onset, offset }) = segmentation.multilabel
            && !(0.0 <= offset && offset <= onset && onset <= 1.0)
        {
            return Err(wrong(format!(
                "onset {onset} and offset {offset} are not 0 <= offset <= onset <= 1"
            )));
        }
        if let Some(VoiceWindows { temperature, duration, hop }) = self.voices
            && ![temperature, duration, hop].iter().all(|number| *number > 0.0 && *number <= MAX_SECONDS)
        {
            return Err(wrong(format!("a number in [voices] is not positive or is above {MAX_SECONDS}")));
        }
        if let Some(ConfidenceFunction { bias, factor }) = self.confidence
            && !(bias.is_finite() && factor.is_finite())
        {
            return Err(wrong("a number in [confidence] is not finite".into()));
        }
        self.parameters.check().map_err(|error| wrong(format!("parameters: {error}")))
    }

    /// Serializes the manifest as TOML.
    ///
    /// # Panics
    /// Never: every manifest can be written as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every manifest is valid TOML")
    }

    /// A manifest with the architecture of pyannote/speaker-diarization-3.1, and weights in
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
