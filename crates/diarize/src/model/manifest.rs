//! The manifest of a model directory: what the weights are, and how the pipeline uses them.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Parameters, Result, segmentation::Powerset};

/// The version of the manifest's format that this library reads.
const FORMAT: u32 = 1;
/// Local speakers that a chunk may have; their powerset must stay countable.
const MAX_SPEAKERS: usize = 10;

/// `manifest.toml` of a model directory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format: 1.
    pub format: u32,
    /// What the model is called.
    pub name: String,
    /// The licence of its weights, as an SPDX expression where there is one.
    pub licence: String,
    /// Where it comes from.
    pub source: String,
    /// The segmentation network.
    pub segmentation: SegmentationArchitecture,
    /// The embedding network.
    pub embedding: EmbeddingArchitecture,
    /// Hyper-parameters of the pipeline, each with the value of pyannote 3.1 where absent.
    #[serde(default)]
    pub parameters: Parameters,
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

/// Shape of the `WeSpeakerResNet34` embedding network
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
}

impl Manifest {
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
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
    pub fn pyannote_3_1(name: &str, licence: &str, source: &str) -> Self {
        Self {
            format: FORMAT,
            name: name.into(),
            licence: licence.into(),
            source: source.into(),
            segmentation: SegmentationArchitecture {
                weights: "segmentation.safetensors".into(),
                duration: 10.0,
                speakers: 3,
                simultaneous_speakers: 2,
                sincnet_stride: 10,
                lstm: LstmArchitecture { hidden_size: 128, num_layers: 4, bidirectional: true },
                linear: LinearArchitecture { hidden_size: 128, num_layers: 2 },
            },
            embedding: EmbeddingArchitecture {
                weights: "embedding.safetensors".into(),
                dimension: 256,
                channels: 32,
                blocks: [3, 4, 6, 3],
            },
            parameters: Parameters::default(),
        }
    }
}
