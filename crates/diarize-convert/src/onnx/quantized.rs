//! Weights that were rounded to integers: ONNX Runtime stores `NAME` as `NAME_quantized`, `NAME_scale` and `NAME_zero_point`, and
//! the value is `(quantized - zero point) * scale`.
//!
//! Source: `onnxruntime/python/tools/quantization` of ONNX Runtime 1.23.

use safetensors::Dtype;

use super::OnnxProblem;
use crate::tensor::{Tensor, Tensors};

const SUFFIX: &str = "_quantized";

/// Replaces rounded weights by floating-point numbers under their original names.
pub(super) fn restored(mut tensors: Tensors) -> Result<Tensors, OnnxProblem> {
    let names: Vec<String> = tensors.keys().filter(|name| name.ends_with(SUFFIX)).cloned().collect();
    for quantized in names {
        let name = quantized.strip_suffix(SUFFIX).unwrap_or(&quantized).to_owned();
        let wrong = |reason| OnnxProblem::Tensor { name: quantized.clone(), reason };
        // The scale of a weight is called after the weight, and that of a bias after the rounded bias.
        let mut part = |part: &str| {
            [&name, &quantized].into_iter().find_map(|front| tensors.remove(&format!("{front}_{part}")))
        };
        let (scale, zero_point) = (part("scale"), part("zero_point"));
        let scale = scale.ok_or_else(|| wrong("has no scale"))?;
        let steps = tensors.remove(&quantized).ok_or_else(|| wrong("is missing"))?;
        let restored = restore(&steps, &scale, zero_point.as_ref()).map_err(wrong)?;
        if tensors.insert(name.clone(), restored).is_some() {
            return Err(OnnxProblem::SameName(name));
        }
    }
    Ok(tensors)
}

fn restore(steps: &Tensor, scale: &Tensor, zero_point: Option<&Tensor>) -> Result<Tensor, &'static str> {
    let scales = scale.to_f32().ok_or("has a scale of integers")?;
    if scales.iter().any(|scale| !scale.is_finite()) {
        return Err("has a scale that is not finite");
    }
    let values = integers(steps).ok_or("is not of 8-bit or 32-bit integers")?;
    let zero_points = match zero_point {
        Some(tensor) => integers(tensor).ok_or("has a zero point of another type")?,
        None => vec![0; scales.len()],
    };
    if scales.is_empty() || scales.len() != zero_points.len() {
        return Err("has scales and zero points of different numbers");
    }
    let groups =
        Groups::of(&steps.shape, &scale.shape, scales.len()).ok_or("has scales that do not fit its shape")?;
    let value = |(index, &step): (usize, &i64)| {
        let group = groups.group(index);
        (step - zero_points[group]) as f32 * scales[group]
    };
    let bytes = values.iter().enumerate().map(value).flat_map(f32::to_le_bytes).collect();
    Ok(Tensor { dtype: Dtype::F32, shape: steps.shape.clone(), bytes })
}

/// Which scale belongs to a value: that of its row, its column, or both.
struct Groups {
    /// Number of values in a row.
    row: usize,
    /// Number of scales for a row; 0 if all rows have the same.
    step: usize,
    /// Number of columns with scales of their own.
    columns: usize,
}

impl Groups {
    /// There is one scale for all values; one for each column of a matrix; one for each output of a convolution or each
    /// direction of an LSTM; or one for each direction and column of an LSTM.
    fn of(shape: &[usize], scales: &[usize], count: usize) -> Option<Self> {
        let values = shape.iter().product::<usize>().max(1);
        match (shape, scales) {
            _ if count == 1 => Some(Self { row: values, step: 0, columns: 1 }),
            (&[_, columns], _) if columns == count => Some(Self { row: values, step: 0, columns }),
            (&[first, _, last], &[directions, columns]) if (first, last) == (directions, columns) => {
                Some(Self { row: values / first, step: columns, columns })
            }
            (&[first, ..], &[_]) if first == count => Some(Self { row: values / first, step: 1, columns: 1 }),
            _ => None,
        }
    }

    fn group(&self, index: usize) -> usize {
        index / self.row * self.step + index % self.columns
    }
}

fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    Some(match tensor.dtype {
        Dtype::U8 => tensor.bytes.iter().map(|&byte| byte.into()).collect(),
        Dtype::I8 => tensor.bytes.iter().map(|&byte| i64::from(byte as i8)).collect(),
        Dtype::I32 => {
            tensor.bytes.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes).into()).collect()
        }
        _ => return None,
    })
}
