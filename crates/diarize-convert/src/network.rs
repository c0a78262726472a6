//! One network alone, without the pipeline around it.

use std::collections::BTreeMap;

use diarize::model::{EmbeddingArchitecture, SegmentationArchitecture};
use serde::Serialize;

use crate::{
    checkpoint::Checkpoint,
    pyannote::{About, NetworkProblem, pyannet},
    tensor::Tensors,
    wespeaker::wespeaker,
};

/// What tensors are.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A `PyanNet`.
    Segmentation(SegmentationArchitecture),
    /// A residual network of WeSpeaker.
    Embedding(EmbeddingArchitecture),
    /// Arrays of a PLDA.
    Plda,
    /// Tensors of a network that `diarize` does not have.
    Unknown,
}

/// Arrays of the two files of a PLDA.
const PLDA_ARRAYS: [[&str; 3]; 2] = [["mu", "psi", "tr"], ["lda", "mean1", "mean2"]];

impl Kind {
    /// What a checkpoint is, by its tensors. May rename them to what the library calls them.
    pub(crate) fn of(checkpoint: &mut Checkpoint) -> Result<Self, NetworkProblem> {
        if let Some(architecture) = pyannet(checkpoint) {
            return architecture.map(Self::Segmentation);
        }
        if let Some(architecture) = wespeaker(checkpoint) {
            return architecture.map(Self::Embedding);
        }
        let is_plda =
            PLDA_ARRAYS.iter().any(|names| names.iter().all(|&name| checkpoint.tensors.contains_key(name)));
        Ok(if is_plda { Self::Plda } else { Self::Unknown })
    }

    /// The architecture of a segmentation network; anything else is refused.
    pub(crate) fn segmentation(self, about: &About) -> Result<SegmentationArchitecture, NetworkProblem> {
        match self {
            Self::Segmentation(architecture) => Ok(architecture),
            other => Err(other.refused("segmentation", about)),
        }
    }

    /// The architecture of an embedding network; anything else is refused.
    pub(crate) fn embedding(self, about: &About) -> Result<EmbeddingArchitecture, NetworkProblem> {
        match self {
            Self::Embedding(architecture) => Ok(architecture),
            other => Err(other.refused("embeddings", about)),
        }
    }

    fn refused(&self, needed: &'static str, about: &About) -> NetworkProblem {
        match self {
            Self::Unknown => {
                NetworkProblem::Unknown(about.class.clone().unwrap_or_else(|| "not named in the file".into()))
            }
            _ => NetworkProblem::Other { needed, found: self.describe() },
        }
    }

    /// What people call it.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Segmentation(_) => "a segmentation network",
            Self::Embedding(_) => "an embedding network",
            Self::Plda => "a PLDA",
            Self::Unknown => "a network that diarize does not have",
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

/// One network, or a PLDA, converted without a pipeline around it.
#[derive(Clone, Debug)]
pub struct Network {
    /// What it is.
    pub kind: Kind,
    /// Its tensors under the names that the library reads.
    pub tensors: Tensors,
    /// What the file says of it.
    pub about: About,
    /// Where it comes from.
    pub source: String,
    /// The licence that is stated beside it.
    pub licence: String,
    /// SHA-256 of each file that was read.
    pub inputs: BTreeMap<String, String>,
}

/// `network.toml`, beside the weights of a network.
#[derive(Serialize)]
struct Description<'a> {
    weights: &'a str,
    licence: &'a str,
    source: &'a str,
    inputs: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    segmentation: Option<&'a SegmentationArchitecture>,
    #[serde(skip_serializing_if = "Option::is_none")]
    embedding: Option<&'a EmbeddingArchitecture>,
    about: &'a About,
}

impl Network {
    /// File name of the weights.
    pub fn weights(&self) -> &'static str {
        self.kind.file_name()
    }

    /// The text that describes it.
    ///
    /// # Panics
    /// Never: all of it can be written as TOML.
    pub fn to_toml(&self) -> String {
        let description = Description {
            weights: self.weights(),
            licence: &self.licence,
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
        toml::to_string(&description).expect("a description holds nothing that TOML lacks")
    }
}
