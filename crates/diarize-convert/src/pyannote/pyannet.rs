//! Determines the architecture of a `PyanNet` from its tensors.
//!
//! Source: `pyannote/audio/models/segmentation/PyanNet.py`, versions 2.1 to 4.0.

use diarize::model::{Hysteresis, LinearArchitecture, LstmArchitecture, SegmentationArchitecture};

use super::{NetworkProblem, ProblemKind};
use crate::{checkpoint::Checkpoint, exported, tensor::Tensors};

/// pyannote's defaults.
const DEFAULTS: Defaults =
    Defaults { duration: 10.0, speakers: 3, simultaneous: 2, classes: 7, stride: 10, threshold: 0.5 };

struct Defaults {
    duration: f64,
    speakers: usize,
    simultaneous: usize,
    classes: usize,
    stride: usize,
    threshold: f64,
}

/// Maximum number of layers of one kind.
const MAX_LAYERS: usize = 64;

/// Tensors that identify this network.
const FILTERS: &str = "sincnet.conv1d.0.filterbank.low_hz_";
const CLASSIFIER: &str = "classifier.weight";

/// The architecture of a checkpoint, or `None` if it is not a `PyanNet`. LSTM layers that are separate modules
/// (`monolithic: false`) are renamed to layers of one module: `lstm.1.weight_ih_l0` becomes
/// `lstm.weight_ih_l1`. Exported networks are restored.
pub(crate) fn pyannet(
    checkpoint: &mut Checkpoint,
) -> Option<Result<SegmentationArchitecture, NetworkProblem>> {
    if let Err(problem) = exported::pyannet(&mut checkpoint.tensors) {
        return Some(Err(problem));
    }
    let filters = [FILTERS, exported::FILTERS].iter().any(|name| checkpoint.tensors.contains_key(*name));
    if !filters || !checkpoint.tensors.contains_key(CLASSIFIER) {
        return None;
    }
    checkpoint.tensors = std::mem::take(&mut checkpoint.tensors)
        .into_iter()
        .map(|(name, tensor)| (monolithic(&name).unwrap_or(name), tensor))
        .collect();
    Some(architecture(checkpoint))
}

fn monolithic(name: &str) -> Option<String> {
    let (layer, rest) = name.strip_prefix("lstm.")?.split_once('.')?;
    let layer: usize = layer.parse().ok()?;
    let (part, direction) = rest.split_once("_l0")?;
    Some(format!("lstm.{part}_l{layer}{direction}"))
}

fn architecture(checkpoint: &Checkpoint) -> Result<SegmentationArchitecture, NetworkProblem> {
    let Checkpoint { tensors, about } = checkpoint;
    about.require(&[
        ("sample_rate", 16_000.into(), "16000"),
        ("num_channels", 1.into(), "1"),
        ("sincnet.sample_rate", 16_000.into(), "16000"),
    ])?;
    let shape = |name: &str| matrix(tensors, name);
    if tensors.contains_key(FILTERS) && shape(FILTERS)? != [40, 1] {
        return Err(wrong(tensors, FILTERS, "the sinc layer must have 40 cutoff frequencies"));
    }
    let [_, hidden_size] = shape("lstm.weight_hh_l0")?;
    let layers =
        (0..MAX_LAYERS).take_while(|layer| tensors.contains_key(&format!("lstm.weight_hh_l{layer}")));
    let linear = (0..MAX_LAYERS).take_while(|layer| tensors.contains_key(&format!("linear.{layer}.weight")));
    let lstm = LstmArchitecture {
        hidden_size,
        num_layers: layers.count(),
        bidirectional: tensors.contains_key("lstm.weight_hh_l0_reverse"),
    };
    let linear = match linear.count() {
        0 => LinearArchitecture { hidden_size: 0, num_layers: 0 },
        num_layers => LinearArchitecture { hidden_size: shape("linear.0.weight")?[0], num_layers },
    };
    let [classes, _] = shape(CLASSIFIER)?;
    let specifications = about.specifications.as_ref();
    let outputs = outputs(checkpoint, classes)?;
    let architecture = SegmentationArchitecture {
        weights: "segmentation.safetensors".into(),
        duration: specifications
            .and_then(|specifications| specifications.duration)
            .unwrap_or(DEFAULTS.duration),
        speakers: outputs.speakers,
        simultaneous_speakers: outputs.simultaneous,
        multilabel: outputs
            .multilabel
            .then_some(Hysteresis { onset: DEFAULTS.threshold, offset: DEFAULTS.threshold }),
        sincnet_stride: about.size("sincnet.stride").unwrap_or(DEFAULTS.stride),
        lstm,
        linear,
    };
    match outputs.speakers <= MAX_SPEAKERS && architecture.classes() == classes {
        true => Ok(architecture),
        false => Err(wrong(tensors, CLASSIFIER, "the number of outputs does not match the specifications")),
    }
}

/// The meaning of the classifier's outputs.
struct Outputs {
    speakers: usize,
    simultaneous: usize,
    multilabel: bool,
}

/// Maximum number of local speakers. With more, a powerset would have too many classes.
const MAX_SPEAKERS: usize = 10;

fn outputs(checkpoint: &Checkpoint, classes: usize) -> Result<Outputs, NetworkProblem> {
    let multilabel = |speakers| Outputs { speakers, simultaneous: speakers, multilabel: true };
    let Some(specifications) = &checkpoint.about.specifications else {
        // Without specifications, seven outputs are assumed to be the powerset of up to 2 out of 3 speakers.
        return Ok(match classes {
            classes if classes == DEFAULTS.classes => Outputs {
                speakers: DEFAULTS.speakers,
                simultaneous: DEFAULTS.simultaneous,
                multilabel: false,
            },
            classes => multilabel(classes),
        });
    };
    let speakers = specifications.classes.len();
    match (specifications.problem, specifications.powerset_max_classes) {
        (Some(ProblemKind::MonoLabelClassification), Some(simultaneous)) => {
            Ok(Outputs { speakers, simultaneous: simultaneous.min(speakers), multilabel: false })
        }
        (Some(ProblemKind::MultiLabelClassification | ProblemKind::BinaryClassification), _) => {
            Ok(multilabel(speakers))
        }
        (problem, _) => Err(NetworkProblem::Unsupported {
            name: "the problem of the segmentation network".into(),
            value: problem.map_or("unknown".into(), |problem| format!("{problem:?}")),
            supported: "a powerset or multi-label classification",
        }),
    }
}

/// The shape of a two-dimensional tensor.
fn matrix(tensors: &Tensors, name: &str) -> Result<[usize; 2], NetworkProblem> {
    let tensor = tensors.get(name).ok_or_else(|| NetworkProblem::Missing(name.to_owned()))?;
    tensor.shape.as_slice().try_into().map_err(|_| wrong(tensors, name, "two dimensions are required"))
}

fn wrong(tensors: &Tensors, name: &str, reason: &'static str) -> NetworkProblem {
    let shape = tensors.get(name).map(|tensor| tensor.shape.clone()).unwrap_or_default();
    NetworkProblem::Shape { tensor: name.to_owned(), shape, reason }
}
