//! A single network, without a pipeline.

use std::collections::BTreeMap;

use diarize::model::{EmbeddingArchitecture, SegmentationArchitecture};
use serde::Serialize;

use crate::{
    checkpoint::Checkpoint,
    pyannote::{About, NetworkProblem, pyannet},
    tensor::Tensors,
    wespeaker::wespeaker,
};

/// The kind of network that a checkpoint holds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A `PyanNet`.
    Segmentation(SegmentationArchitecture),
    /// A WeSpeaker ResNet.
    Embedding(EmbeddingArchitecture),
    /// The arrays of a PLDA.
    Plda,
    /// A network that `diarize` does not support.
    Unknown,
}

/// Names of the arrays in the two files of a PLDA.
const PLDA_ARRAYS: [[&str; 3]; 2] = [["mu", "psi", "tr"], ["lda", "mean1", "mean2"]];

impl Kind {
    /// Determines the kind of a checkpoint from its tensors. May rename tensors to the names that the library
    /// uses.
    pub(crate) fn of(checkpoint: &mut Checkpoint) -> Result<Self, NetworkProblem> {
        if let Some(architecture) = pyannet(checkpoint) {
            return architecture.map(Self::Segmentation);
        }
        if let Some(architecture) = wespeaker(checkpoint) {
            return architecture.map(Self::Embedding);
        }
        let is_plda =
            PLDA_ARRAYS.iter().any(|names| names.iter().all(|&name| checkpoint.tensors.contains_key(name)));
        match &checkpoint.about.exporter {
            _ if is_plda => Ok(Self::Plda),
            Some(_) => Err(first_unfit(&checkpoint.tensors)),
            None => Ok(Self::Unknown),
        }
    }

    /// The architecture if this is a segmentation network, otherwise an error.
    pub(crate) fn segmentation(self, about: &About) -> Result<SegmentationArchitecture, NetworkProblem> {
        match self {
            Self::Segmentation(architecture) => Ok(architecture),
            other => Err(other.mismatch("a segmentation network", about)),
        }
    }

    /// The architecture if this is an embedding network, otherwise an error.
    pub(crate) fn embedding(self, about: &About) -> Result<EmbeddingArchitecture, NetworkProblem> {
        match self {
            Self::Embedding(architecture) => Ok(architecture),
            other => Err(other.mismatch("an embedding network", about)),
        }
    }

    fn mismatch(&self, needed: &'static str, about: &About) -> NetworkProblem {
        match self {
            Self::Unknown => NetworkProblem::Unknown(
                about.class.clone().unwrap_or_else(|| "of a class that the file does not name".into()),
            ),
            _ => NetworkProblem::Other { needed, found: self.describe() },
        }
    }

    /// A name for messages, with its article.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Segmentation(_) => "a segmentation network",
            Self::Embedding(_) => "an embedding network",
            Self::Plda => "a PLDA",
            Self::Unknown => "a network that diarize does not support",
        }
    }

    fn file_name(&self) -> &'static str {
        match self {
            Self::Segmentation(_) => "segmentation.safetensors",
            Self::Embedding(_) => "embedding.safetensors",
            Self::Plda => "plda.safetensors",
            Self::Unknown => "network.safetensors",
        }
    }
}

/// The error for an exported network of another kind.
fn first_unfit(tensors: &Tensors) -> NetworkProblem {
    let first = tensors.iter().find(|(_, tensor)| tensor.is_float()).or_else(|| tensors.iter().next());
    let (tensor, shape) =
        first.map_or_else(Default::default, |(name, tensor)| (name.clone(), tensor.shape.clone()));
    NetworkProblem::Unfit { tensor, shape }
}

/// A converted single network or PLDA.
#[derive(Clone, Debug)]
pub struct Network {
    /// The kind of network.
    pub kind: Kind,
    /// The tensors, under the names that the library uses.
    pub tensors: Tensors,
    /// The metadata from the file.
    pub about: About,
    /// The name of the source: a file, a directory or a hub repository.
    pub source: String,
    /// The license that the source states.
    pub license: String,
    /// SHA-256 of each input file, by name.
    pub inputs: BTreeMap<String, String>,
}

/// The content of `network.toml`, which is written next to the weights.
#[derive(Serialize)]
struct Description<'a> {
    weights: &'a str,
    license: &'a str,
    source: &'a str,
    inputs: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segmentation: Option<&'a SegmentationArchitecture>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<&'a EmbeddingArchitecture>,
    about: &'a About,
}

impl Network {
    /// What is wrong with a network that is not supported.
    pub(crate) fn problem(&self) -> NetworkProblem {
        self.kind.mismatch("a pipeline", &self.about)
    }

    /// The name of the file that was read.
    pub(crate) fn file(&self) -> &str {
        self.inputs.keys().next().map_or(&self.source, String::as_str)
    }

    /// File name of the weights.
    pub fn weights(&self) -> &'static str {
        self.kind.file_name()
    }

    /// The description of the network as TOML.
    ///
    /// # Panics
    /// Never, because every description is valid TOML.
    pub fn to_toml(&self) -> String {
        let description = Description {
            weights: self.weights(),
            license: &self.license,
            source: &self.source,
            inputs: &self.inputs,
            segmentation: match &self.kind {
                Kind::Segmentation(architecture) => Some(architecture),
                _ => None,
            },
            embedding: match &self.kind {
                Kind::Embedding(architecture) => Some(architecture),
                _ => None,
            },
            about: &self.about,
        };
        toml::to_string(&description).expect("every description is valid TOML")
    }
}
