//! Tensors of ONNX files.

use safetensors::Dtype;

use super::{OnnxProblem, wire::Message};
use crate::{
    Problem,
    tensor::{Tensor, TensorProblem, count, size_of},
};

/// Number of a type that is not read: text.
const STRING: u64 = 8;

/// The values of a tensor, as they are stored.
#[derive(Default)]
struct Stored<'a> {
    /// The values, little-endian.
    raw: Option<&'a [u8]>,
    /// f32 or f64 values, little-endian.
    floats: Vec<u8>,
    /// Integers, or the bits of 16-bit floating-point numbers.
    integers: Vec<u64>,
}

/// Reads a tensor and its name. `known` is the name of a constant, which has none of its own. A tensor of text is `None`.
pub(super) fn read_tensor<'a>(
    mut message: Message<'a>,
    known: &'a str,
) -> Result<(&'a str, Option<Tensor>), Problem> {
    let (mut name, mut kind, mut dimensions, mut stored) = (known, 0, Vec::new(), Stored::default());
    let mut refused = None;
    while let Some((number, value)) = message.field()? {
        match number {
            1 => message.numbers(value, &mut dimensions)?,
            2 => kind = message.number(value)?,
            3 => refused = Some("is stored in segments"),
            4 | 10 => message.fixed(value, &mut stored.floats),
            5 | 7 | 11 => message.numbers(value, &mut stored.integers)?,
            8 if known.is_empty() => name = message.text(value)?,
            9 => stored.raw = Some(message.bytes(value)?),
            13 => refused = refused.or(Some(EXTERNAL)),
            14 if message.number(value)? == 1 => refused = Some(EXTERNAL),
            _ => {}
        }
    }
    let tensor = match refused {
        Some(EXTERNAL) => return Err(OnnxProblem::External(name.to_owned()).into()),
        Some(reason) => return Err(OnnxProblem::Tensor { name: name.to_owned(), reason }.into()),
        None if kind == STRING => None,
        None => Some(stored.tensor(name, kind, &dimensions)?),
    };
    Ok((name, tensor))
}

/// Marks a tensor whose values are in another file.
const EXTERNAL: &str = "is in another file";

impl Stored<'_> {
    fn tensor(self, name: &str, kind: u64, dimensions: &[u64]) -> Result<Tensor, Problem> {
        let dtype = dtype(kind).map_err(|problem| problem.of(name))?;
        let negative = || OnnxProblem::Tensor { name: name.to_owned(), reason: "has a negative dimension" };
        let shape = dimensions
            .iter()
            .map(|&length| i64::try_from(length).ok().and_then(|length| usize::try_from(length).ok()))
            .collect::<Option<Vec<usize>>>()
            .ok_or_else(negative)?;
        let expected = count(&shape).map_err(|problem| problem.of(name))? * size_of(dtype);
        let bytes = match self.raw {
            Some(raw) => raw.to_vec(),
            None if matches!(dtype, Dtype::F32 | Dtype::F64) => self.floats,
            None => self
                .integers
                .iter()
                .flat_map(|number| number.to_le_bytes().into_iter().take(size_of(dtype)))
                .collect(),
        };
        if bytes.len() != expected {
            return Err(OnnxProblem::Length { name: name.to_owned(), expected, found: bytes.len() }.into());
        }
        Ok(Tensor { dtype, shape, bytes })
    }
}

/// `TensorProto.DataType`.
fn dtype(kind: u64) -> Result<Dtype, TensorProblem> {
    Ok(match kind {
        1 => Dtype::F32,
        2 => Dtype::U8,
        3 => Dtype::I8,
        4 => Dtype::U16,
        5 => Dtype::I16,
        6 => Dtype::I32,
        7 => Dtype::I64,
        9 => Dtype::BOOL,
        10 => Dtype::F16,
        11 => Dtype::F64,
        12 => Dtype::U32,
        13 => Dtype::U64,
        16 => Dtype::BF16,
        other => return Err(TensorProblem::Dtype(format!("number {other} of ONNX"))),
    })
}
