//! The metadata that pyannote.audio stores with the tensors of a network: class, versions, hyperparameters and
//! specifications.
//!
//! Source: `Model.on_save_checkpoint` in `pyannote/audio/core/model.py` and `Specifications` in
//! `pyannote/audio/core/task.py`, versions 2.1 to 4.0.

mod pyannet;

use std::collections::BTreeMap;

use serde::Serialize;

pub(crate) use self::pyannet::pyannet;
use crate::pickle::Value;

/// Maximum number and nesting depth of hyperparameters.
const MAX_HYPER_PARAMETERS: usize = 1_000;
const MAX_DEPTH: usize = 4;

/// Maximum number of class names.
const MAX_CLASSES: usize = 1_000;

/// Why a network is not supported.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkProblem {
    /// The architecture is not supported.
    #[error(
        "the network is {0}, but diarize supports only PyanNet for segmentation and WeSpeaker's ResNets for embeddings"
    )]
    Unknown(String),
    /// A tensor of an exported network does not belong to a supported one.
    #[error(
        "tensor `{tensor}` of shape {shape:?} fits none of the networks that are read from ONNX files: PyanNet for \
         segmentation and WeSpeaker's ResNets for embeddings"
    )]
    Unfit {
        /// The first such tensor.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// The network is of the wrong kind.
    #[error("this is {found}, but {needed} is needed here")]
    Other {
        /// The kind that is needed, with its article.
        needed: &'static str,
        /// The kind that was found, with its article.
        found: &'static str,
    },
    /// A tensor is missing.
    #[error("tensor `{0}` is missing")]
    Missing(String),
    /// A tensor has a shape that the architecture does not allow.
    #[error("tensor `{tensor}` has shape {shape:?}, but {reason}")]
    Shape {
        /// The tensor's name.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// The required shape.
        reason: &'static str,
    },
    /// A hyperparameter has an unsupported value.
    #[error("{name} is {value}, but only {supported} is supported")]
    Unsupported {
        /// The hyperparameter.
        name: String,
        /// Its value.
        value: String,
        /// The supported value.
        supported: &'static str,
    },
}

/// The metadata of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct About {
    /// Module and name of the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Version of pyannote.audio that wrote the checkpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pyannote_audio: Option<String>,
    /// The program that exported the network to ONNX.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exporter: Option<String>,
    /// The task that the network was trained for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specifications: Option<Specifications>,
    /// Numbers, booleans and strings by name. Nested values are named `group.name`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hyper_parameters: BTreeMap<String, toml::Value>,
}

/// The task that a network was trained for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Specifications {
    /// The kind of problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemKind>,
    /// Duration of a chunk in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Names of the classes, usually the local speakers.
    pub classes: Vec<String>,
    /// Maximum number of simultaneously active classes, if the outputs stand for sets of classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub powerset_max_classes: Option<usize>,
}

/// `Problem` of `pyannote/audio/core/task.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// One class that is active or not.
    BinaryClassification,
    /// Exactly one of several classes.
    MonoLabelClassification,
    /// Any of several classes.
    MultiLabelClassification,
    /// Embeddings.
    Representation,
    /// Real numbers.
    Regression,
}

impl About {
    /// Reads the metadata from the root of a checkpoint.
    pub(crate) fn read(root: Value<'_>) -> Self {
        let mut hyper_parameters = BTreeMap::new();
        if let Some(value) = root.get("hyper_parameters") {
            flatten(value, "", MAX_DEPTH, &mut hyper_parameters);
        }
        let Some(pyannote) = root.get("pyannote.audio") else {
            return Self { hyper_parameters, ..Self::default() };
        };
        let text = |value: Option<Value<'_>>| value.and_then(Value::text).map(str::to_owned);
        let architecture = pyannote.get("architecture");
        let part = |key| text(architecture.and_then(|architecture| architecture.get(key)));
        Self {
            class: part("class").map(|class| match part("module") {
                Some(module) => format!("{module}.{class}"),
                None => class,
            }),
            pyannote_audio: text(
                pyannote.get("versions").and_then(|versions| versions.get("pyannote.audio")),
            ),
            exporter: None,
            specifications: pyannote.get("specifications").and_then(Specifications::read),
            hyper_parameters,
        }
    }

    /// Checks that hyperparameters, where present, have the only values that `diarize` supports. Each requirement
    /// is a name, a value and its text for messages.
    pub(crate) fn require(
        &self,
        supported: &[(&'static str, toml::Value, &'static str)],
    ) -> Result<(), NetworkProblem> {
        for (name, expected, text) in supported {
            let same = |value: &toml::Value| match (number(value), number(expected)) {
                (Some(value), Some(expected)) => value == expected,
                _ => value == expected,
            };
            if let Some(value) = self.hyper_parameters.get(*name).filter(|value| !same(value)) {
                return Err(NetworkProblem::Unsupported {
                    name: (*name).to_owned(),
                    value: value.to_string(),
                    supported: text,
                });
            }
        }
        Ok(())
    }

    /// The value of a hyperparameter, if it is a positive integer.
    pub(crate) fn size(&self, name: &str) -> Option<usize> {
        let value = self.hyper_parameters.get(name)?.as_integer()?;
        usize::try_from(value).ok().filter(|&size| size > 0)
    }
}

fn number(value: &toml::Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|value| value as f64))
}

/// Collects the numbers, booleans and strings of nested dictionaries under their dotted paths.
fn flatten(value: Value<'_>, path: &str, depth: usize, found: &mut BTreeMap<String, toml::Value>) {
    for (name, value) in value.plain().entries() {
        let Some(name) = name.text() else { continue };
        if found.len() == MAX_HYPER_PARAMETERS {
            return;
        }
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        let value = value.plain();
        let scalar = match (value.boolean(), value.integer(), value.number(), value.text()) {
            (Some(value), ..) => value.into(),
            (_, Some(value), ..) => value.into(),
            (_, _, Some(value), _) if value.is_finite() => value.into(),
            (.., Some(value)) => value.into(),
            _ if depth > 0 => {
                flatten(value, &path, depth - 1, found);
                continue;
            }
            _ => continue,
        };
        found.insert(path, scalar);
    }
}

impl Specifications {
    /// Reads the specifications. Returns `None` for networks with several tasks.
    fn read(value: Value<'_>) -> Option<Self> {
        if value.is_sequence() {
            return None;
        }
        let kind =
            value.get("problem").and_then(|problem| problem.arguments().next()).and_then(Value::integer);
        Some(Self {
            problem: kind.and_then(|kind| match kind {
                0 => Some(ProblemKind::BinaryClassification),
                1 => Some(ProblemKind::MonoLabelClassification),
                2 => Some(ProblemKind::MultiLabelClassification),
                3 => Some(ProblemKind::Representation),
                4 => Some(ProblemKind::Regression),
                _ => None,
            }),
            duration: value.get("duration").and_then(Value::number).filter(|duration| duration.is_finite()),
            classes: value.get("classes").map_or_else(Vec::new, |classes| {
                classes.elements().take(MAX_CLASSES).filter_map(Value::text).map(str::to_owned).collect()
            }),
            powerset_max_classes: value.get("powerset_max_classes").and_then(Value::size),
        })
    }
}
