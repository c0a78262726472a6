//! Reading the tensors of a safetensors file; each is checked when it is read.

use std::path::Path;

use candle_core::{Device, Tensor};
use diarize_kernels::{conv2d::Conv2d, lstm::Layer};
use half::f16;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::WeightsFile;
use crate::{Error, Precision, Result, TensorProblem};

/// Suffix of the name of an 8-bit tensor's scales.
pub const SCALES: &str = ".scale";

/// The tensors of a weights file. f16 and 8-bit values are converted to f32.
pub struct Weights<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
    precision: Precision,
    for_gpu: bool,
}

impl<'a> Weights<'a> {
    /// Opens a file, for networks on the CPU in f32.
    ///
    /// # Errors
    /// If the file is not a valid safetensors file.
    pub fn open(file: &'a WeightsFile) -> Result<Self> {
        let tensors = SafeTensors::deserialize(&file.bytes)
            .map_err(|source| Error::WeightsFile { path: file.path.clone(), source: source.into() })?;
        Ok(Self { path: &file.path, tensors, precision: Precision::F32, for_gpu: false })
    }

    /// The same weights, for networks with this precision.
    pub(crate) fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// The same weights, for networks on a GPU if `for_gpu`. Their layers are packed in ordinary memory and then copied to it.
    pub fn for_gpu(self, for_gpu: bool) -> Self {
        Self { for_gpu, ..self }
    }

    /// How precisely layers with these weights multiply.
    pub(crate) fn precision(&self) -> diarize_kernels::gpu::Precision {
        self.precision.of_kernels()
    }

    /// Names and shapes of the tensors that hold weights, sorted by name: neither scales nor integers such as batch
    /// norm's counters.
    pub(crate) fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        let is_8_bit = |name: &str| self.tensors.tensor(name).is_ok_and(|view| view.dtype() == Dtype::I8);
        let is_weight = |name: &str, view: &TensorView<'_>| match view.dtype() {
            Dtype::I8 => true,
            Dtype::F32 | Dtype::F16 => !name.strip_suffix(SCALES).is_some_and(is_8_bit),
            _ => false,
        };
        let weights = self.tensors.iter().filter(|(name, view)| is_weight(name, view));
        let mut shapes: Vec<_> =
            weights.map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
        shapes.sort();
        shapes
    }

    /// The values of a tensor of the given shape, row-major.
    ///
    /// # Errors
    /// If the tensor is missing, has another shape or an unsupported dtype, or contains a non-finite value. If it has 8
    /// bits, the same applies to its scales.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let view = self.view(name, shape)?;
        match (view.dtype(), shape) {
            (Dtype::I8, &[channels, _, ..]) => {
                let scales = format!("{name}{SCALES}");
                if self.tensors.tensor(&scales).is_err() {
                    return Err(self.wrong(name, TensorProblem::NoScales { scales }));
                }
                let factors = self.floats(&scales, &self.view(&scales, &[channels])?)?;
                self.finite(name, scaled(view.data(), &factors))
            }
            _ => self.floats(name, &view),
        }
    }

    fn view(&self, name: &str, shape: &[usize]) -> Result<TensorView<'a>> {
        let view = self.tensors.tensor(name).map_err(|_| self.wrong(name, TensorProblem::Missing))?;
        if view.shape() != shape {
            let problem = TensorProblem::Shape { expected: shape.to_vec(), found: view.shape().to_vec() };
            return Err(self.wrong(name, problem));
        }
        Ok(view)
    }

    fn floats(&self, name: &str, view: &TensorView<'_>) -> Result<Vec<f32>> {
        self.finite(name, to_f32(view).map_err(|problem| self.wrong(name, problem))?)
    }

    fn finite(&self, name: &str, values: Vec<f32>) -> Result<Vec<f32>> {
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(self.wrong(name, TensorProblem::NonFinite { index })),
            None => Ok(values),
        }
    }

    /// Packs a convolution with a kernel of the shape `[outputs, inputs, rows, columns]`.
    pub(crate) fn convolution(
        &self,
        kernel: Vec<f32>,
        shape: [usize; 4],
        bias: Vec<f32>,
        stride: usize,
        padding: [usize; 2],
    ) -> Result<Conv2d> {
        let (kernel, bias) = (in_memory(kernel, &shape)?, in_memory(bias, &shape[..1])?);
        let pack = if self.for_gpu { Conv2d::for_gpu } else { Conv2d::new };
        let convolution = pack(&kernel, &bias, stride, padding).map_err(Error::loading)?;
        Ok(convolution.with_precision(self.precision()))
    }

    /// Packs an LSTM layer for `input` weights `(directions * gates, inputs)`, the sum of both biases and `recurrent` weights of
    /// the shape `[directions, gates, hidden]`.
    pub(crate) fn lstm_layer(
        &self,
        input: Vec<f32>,
        bias: Vec<f32>,
        recurrent: Vec<f32>,
        shape: [usize; 3],
    ) -> Result<Layer> {
        let width = bias.len();
        let inputs = input.len() / width.max(1);
        let (input, bias) = (in_memory(input, &[width, inputs])?, in_memory(bias, &[width])?);
        let recurrent = in_memory(recurrent, &shape)?;
        let pack = if self.for_gpu { Layer::for_gpu } else { Layer::new };
        Ok(pack(&input, &bias, &recurrent).map_err(Error::loading)?.with_precision(self.precision()))
    }

    fn wrong(&self, tensor: &str, problem: TensorProblem) -> Error {
        Error::Tensor { path: self.path.to_owned(), tensor: tensor.to_owned(), problem }
    }
}

/// A tensor in ordinary memory.
fn in_memory(values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(values, shape, &Device::Cpu).map_err(Error::loading)
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

/// The values of an 8-bit tensor whose output channels have these scales.
fn scaled(values: &[u8], scales: &[f32]) -> Vec<f32> {
    let channels = values.chunks(values.len().div_ceil(scales.len().max(1)).max(1));
    let mut scaled = Vec::with_capacity(values.len());
    for (channel, scale) in channels.zip(scales) {
        scaled.extend(channel.iter().map(|&value| f32::from(value.cast_signed()) * scale));
    }
    scaled
}
