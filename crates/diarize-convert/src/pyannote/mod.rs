//! What pyannote.audio writes beside the tensors of a network: class, versions, hyper-parameters and
//! specifications.
//!
//! Source: `Model.on_save_checkpoint` in `pyannote/audio/core/model.py` and `Specifications` in
//! `pyannote/audio/core/task.py`, versions 2.1 to 4.0.

mod pyannet;

use std::collections::BTreeMap;

use serde::Serialize;

pub(crate) use self::pyannet::pyannet;
use crate::pickle::Value;

/// Hyper-parameters that are kept, at most, and how deep they may nest.
const MAX_HYPER_PARAMETERS: usize = 1_000;
const MAX_DEPTH: usize = 4;

/// Names of local speakers, at most.
const MAX_CLASSES: usize = 1_000;

/// Why tensors are not a network that `diarize` has.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkProblem {
    /// It is another network.
    #[error(
        "the network is {0}: diarize has PyanNet for segmentation and WeSpeaker's ResNets for embeddings"
    )]
    Unknown(String),
    /// It is not the network that is needed in this place.
    #[error("a network for {needed} is needed here, this is {found}")]
    Other {
        /// What is needed.
        needed: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A tensor of the architecture is not there.
    #[error("tensor `{0}` is missing")]
    Missing(String),
    /// A tensor has a shape that no variant of the architecture has.
    #[error("tensor `{tensor}` has shape {shape:?}, but {reason}")]
    Shape {
        /// The tensor's name.
        tensor: String,
        /// Its shape.
        shape: Vec<usize>,
        /// What it should be.
        reason: &'static str,
    },
    /// A hyper-parameter that diarize has another value for, built in.
    #[error("{name} is {value}, but only {supported} is supported")]
    Unsupported {
        /// The hyper-parameter.
        name: String,
        /// Its value.
        value: String,
        /// What is supported.
        supported: &'static str,
    },
}

/// What a checkpoint says of its network.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct About {
    /// Module and name of the class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Version of pyannote.audio that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pyannote_audio: Option<String>,
    /// What the network was trained for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub specifications: Option<Specifications>,
    /// Numbers, booleans and strings by name, those of groups as `group.name`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hyper_parameters: BTreeMap<String, toml::Value>,
}

/// What a network was trained for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Specifications {
    /// The kind of problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<ProblemKind>,
    /// Duration of a chunk in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Names of the classes, as a rule the local speakers.
    pub classes: Vec<String>,
    /// Classes that may be active at once, where outputs stand for sets of classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub powerset_max_classes: Option<usize>,
}

/// `Problem` of `pyannote/audio/core/task.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// One class, or not.
    BinaryClassification,
    /// Exactly one of several classes.
    MonoLabelClassification,
    /// Any of several classes.
    MultiLabelClassification,
    /// Embeddings.
    Representation,
    /// Numbers.
    Regression,
}

impl About {
    /// Reads what the root of a checkpoint says.
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
            specifications: pyannote.get("specifications").and_then(Specifications::read),
            hyper_parameters,
        }
    }

    /// Refuses hyper-parameters that differ from what `diarize` has built in.
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

    /// A hyper-parameter that is a number from 1 on.
    pub(crate) fn size(&self, name: &str) -> Option<usize> {
        let value = self.hyper_parameters.get(name)?.as_integer()?;
        usize::try_from(value).ok().filter(|&size| size > 0)
    }
}

fn number(value: &toml::Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|value| value as f64))
}

/// Numbers, booleans and strings of nested dictionaries, under their paths.
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
    /// Nothing where a network has several tasks at once.
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
