//! Reads the weights of ONNX files. The graph is not run: only its initializers and constants are read, and which of them are
//! other names of the same tensor.
//!
//! Source: `onnx/onnx.proto` of ONNX 1.19. Numbers of fields are those of that file.

mod quantized;
mod tensor;
mod wire;

use std::collections::BTreeMap;

use self::{tensor::read_tensor, wire::Message};
use crate::{
    Problem,
    pyannote::{About, ProblemKind, Specifications},
    tensor::{TensorProblem, Tensors},
};

/// Maximum number of nodes, and of tensors. ResNet293 has about 300 tensors.
const MAX_NODES: usize = 200_000;
const MAX_TENSORS: usize = 65_536;

/// Why an ONNX file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxProblem {
    /// The file is not a valid protocol buffer.
    #[error("not a readable ONNX file: {reason} at byte {offset}")]
    Wire {
        /// Byte offset in the file.
        offset: usize,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The file has no graph.
    #[error("the ONNX file has no graph")]
    NoGraph,
    /// The graph has no tensors.
    #[error("the ONNX file has no weights")]
    NoTensors,
    /// A limit is exceeded.
    #[error("the ONNX file has more than {limit} {what}")]
    Limit {
        /// What is limited.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// An initializer has no name.
    #[error("an initializer of the ONNX file has no name")]
    Unnamed,
    /// Two tensors have the same name.
    #[error("two tensors of the ONNX file are called `{0}`")]
    SameName(String),
    /// The values of a tensor are in another file.
    #[error(
        "the values of tensor `{0}` are in another file, which is not read: store all values in one file first, in Python with \
         onnx.save_model(onnx.load(path), path)"
    )]
    External(String),
    /// A tensor is stored in a form that no exporter of speech networks uses.
    #[error("tensor `{name}` {reason}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The number of values does not match the shape.
    #[error("tensor `{name}` has {found} bytes of values, but its shape needs {expected}")]
    Length {
        /// The tensor's name.
        name: String,
        /// Number of bytes that the shape needs.
        expected: usize,
        /// Number of bytes in the file.
        found: usize,
    },
}

/// Whether `bytes` start like an ONNX file, whose first field is its version: a small number.
pub(crate) fn detect(bytes: &[u8]) -> bool {
    matches!(bytes, [0x08, 1..0x80, ..])
}

/// The weights and the metadata of a file. Weights that were rounded to 8 bits are floating-point numbers on their grid.
pub(crate) fn read(bytes: &[u8]) -> Result<(Tensors, About), Problem> {
    let mut file = Message::new(bytes);
    let (mut graph, mut properties, mut exporter) = (None, BTreeMap::new(), String::new());
    while let Some((number, value)) = file.field()? {
        match number {
            2 => exporter.insert_str(0, file.text(value)?),
            3 => exporter = format!("{exporter} {}", file.text(value)?),
            7 => graph = Some(file.inner(value)?),
            14 => {
                let (key, text) = property(file.inner(value)?)?;
                properties.insert(key, text);
            }
            _ => {}
        }
    }
    let tensors = tensors(graph.ok_or(OnnxProblem::NoGraph)?, bytes.len())?;
    let mut about = about(&properties);
    about.exporter = Some(exporter.trim().to_owned());
    Ok((quantized::restored(tensors)?, about))
}

/// The tensors of the graph of a file of `size` bytes.
fn tensors(mut graph: Message<'_>, size: usize) -> Result<Tensors, Problem> {
    let mut tensors = Tensors::new();
    let mut aliases = Vec::new();
    let mut nodes = 0;
    while let Some((number, value)) = graph.field()? {
        let found = match number {
            1 => {
                nodes += 1;
                if nodes > MAX_NODES {
                    return Err(OnnxProblem::Limit { what: "nodes", limit: MAX_NODES }.into());
                }
                match node(graph.inner(value)?)? {
                    Node::Constant(name, tensor) => Some((name, read_tensor(tensor, name)?.1)),
                    Node::Alias(name, original) => {
                        aliases.push((name, original));
                        None
                    }
                    Node::Other => None,
                }
            }
            5 => {
                let (name, tensor) = read_tensor(graph.inner(value)?, "")?;
                if name.is_empty() {
                    return Err(OnnxProblem::Unnamed.into());
                }
                Some((name, tensor))
            }
            _ => None,
        };
        let Some((name, Some(tensor))) = found else { continue };
        if tensors.len() == MAX_TENSORS {
            return Err(OnnxProblem::Limit { what: "tensors", limit: MAX_TENSORS }.into());
        }
        if tensors.insert(name.to_owned(), tensor).is_some() {
            return Err(OnnxProblem::SameName(name.to_owned()).into());
        }
    }
    add_aliases(&mut tensors, &aliases, size)?;
    match tensors.is_empty() {
        true => Err(OnnxProblem::NoTensors.into()),
        false => Ok(tensors),
    }
}

/// Adds the other names of tensors: exporters store equal tensors once. All copies together may be as large as the file of
/// `size` bytes.
fn add_aliases(tensors: &mut Tensors, aliases: &[(&str, &str)], size: usize) -> Result<(), Problem> {
    let mut total: usize = 0;
    for &(name, original) in aliases {
        if tensors.contains_key(name) {
            continue;
        }
        let Some(tensor) = tensors.get(original) else { continue };
        total = total.saturating_add(tensor.bytes.len());
        if total > size {
            return Err(TensorProblem::Budget(size).of(name));
        }
        tensors.insert(name.to_owned(), tensor.clone());
    }
    Ok(())
}

/// What a node of the graph says about weights.
enum Node<'a> {
    /// The name and the tensor of a constant.
    Constant(&'a str, Message<'a>),
    /// The name and the original of a tensor that is the same as another one.
    Alias(&'a str, &'a str),
    Other,
}

fn node(mut node: Message<'_>) -> Result<Node<'_>, OnnxProblem> {
    let (mut input, mut output, mut kind, mut constant) = ("", "", "", None);
    while let Some((number, value)) = node.field()? {
        match number {
            1 => input = node.text(value)?,
            2 => output = node.text(value)?,
            4 => kind = node.text(value)?,
            5 => constant = attribute_tensor(node.inner(value)?)?.or(constant),
            _ => {}
        }
    }
    Ok(match (kind, constant) {
        ("Constant", Some(tensor)) if !output.is_empty() => Node::Constant(output, tensor),
        ("Identity", _) => Node::Alias(output, input),
        _ => Node::Other,
    })
}

/// The tensor in an attribute, if the attribute is one.
fn attribute_tensor(mut attribute: Message<'_>) -> Result<Option<Message<'_>>, OnnxProblem> {
    let mut tensor = None;
    while let Some((number, value)) = attribute.field()? {
        if number == 5 {
            tensor = Some(attribute.inner(value)?);
        }
    }
    Ok(tensor)
}

fn property(mut entry: Message<'_>) -> Result<(&str, &str), OnnxProblem> {
    let (mut key, mut text) = ("", "");
    while let Some((number, value)) = entry.field()? {
        match number {
            1 => key = entry.text(value)?,
            2 => text = entry.text(value)?,
            _ => {}
        }
    }
    Ok((key, text))
}

/// The task of the network, as sherpa-onnx states it.
fn about(properties: &BTreeMap<&str, &str>) -> About {
    let number = |key: &str| properties.get(key).and_then(|text| text.parse::<usize>().ok());
    let mut about = About::default();
    if let Some(rate) = number("sample_rate") {
        about.hyper_parameters.insert("sample_rate".to_owned(), (rate as i64).into());
    }
    if let (Some(speakers), Some(simultaneous)) = (number("num_speakers"), number("powerset_max_classes")) {
        let duration = number("window_size").map(|samples| samples as f64 / 16_000.0);
        about.specifications = Some(Specifications {
            problem: Some(ProblemKind::MonoLabelClassification),
            duration,
            classes: (1..=speakers.min(100)).map(|speaker| format!("speaker#{speaker}")).collect(),
            powerset_max_classes: Some(simultaneous),
        });
    }
    about
}
