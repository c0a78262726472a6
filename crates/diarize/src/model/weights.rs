//! Reading the tensors of a safetensors file; each is checked when it is read.

use std::path::Path;

use candle_core::{Device, Tensor};
use half::f16;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::WeightsFile;
use crate::{Error, Result, TensorProblem};

/// The tensors of a weights file. f16 values are converted to f32.
pub struct Weights<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    device: &'a Device,
}

impl<'a> Weights<'a> {
    /// Opens a file; its tensors will be created on `device`.
    ///
    /// # Errors
    /// If the file is not a valid safetensors file.
    pub fn open(file: &'a WeightsFile, device: &'a Device) -> Result<Self> {
        let tensors = SafeTensors::deserialize(&file.bytes)
            .map_err(|source| Error::WeightsFile { path: file.path.clone(), source: source.into() })?;
        Ok(Self { path: &file.path, tensors, device })
    }

    /// Names and shapes of all tensors, sorted by name.
    pub(crate) fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let mut shapes: Vec<_> =
            self.tensors.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
        shapes.sort();
        shapes
    }

    /// Reads a tensor of the given shape onto the device.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.to_device(self.values(name, shape)?, shape)
    }

    /// The values of a tensor of the given shape, row-major.
    ///
    /// # Errors
    /// If the tensor is missing, has another shape or an unsupported dtype, or contains a non-finite value.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let view = self.tensors.tensor(name).map_err(|_| self.wrong(name, TensorProblem::Missing))?;
        if view.shape() != shape {
            let problem = TensorProblem::Shape { expected: shape.to_vec(), found: view.shape().to_vec() };
            return Err(self.wrong(name, problem));
        }
        let values = to_f32(&view).map_err(|problem| self.wrong(name, problem))?;
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(self.wrong(name, TensorProblem::NonFinite { index })),
            None => Ok(values),
        }
    }

    /// Creates a tensor from derived values on the device.
    pub(crate) fn to_device(&self, values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
        Tensor::from_vec(values, shape, self.device).map_err(Error::loading)
    }

    fn wrong(&self, tensor: &str, problem: TensorProblem) -> Error {
        Error::Tensor { path: self.path.to_owned(), tensor: tensor.to_owned(), problem }
    }
}

fn to_f32(view: &TensorView<'_>) -> std::result::Result<Vec<f32>, TensorProblem> {
    let bytes = view.data();
    match view.dtype() {
        Dtype::F32 => Ok(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()),
        Dtype::F16 => {
            Ok(bytes.as_chunks().0.iter().map(|&bytes| f16::from_le_bytes(bytes).to_f32()).collect())
        }
        other => Err(TensorProblem::Dtype { found: format!("{other:?}") }),
    }
}
