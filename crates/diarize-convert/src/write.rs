//! Converted models on the disk.

use std::{borrow::Cow, fs, path::Path};

use diarize::model::{MANIFEST, ModelFiles};
use half::f16;
use safetensors::{Dtype, tensor::TensorView};

use crate::{
    Converted, Error, Network, Result,
    tensor::{Tensor, Tensors},
};

/// Name of the description beside a network without a pipeline.
const DESCRIPTION: &str = "network.toml";

/// How floating-point numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// As f32.
    #[default]
    F32,
    /// Matrices and kernels as f16: half the size. Vectors (biases, norms) and the parameters of
    /// sinc filters stay f32, and so does a tensor with numbers too large for f16.
    F16,
    /// As they are in the file.
    Exact,
}

/// The bytes of a safetensors file: the same for the same tensors.
pub(crate) fn encode(tensors: &Tensors, precision: Precision) -> Vec<u8> {
    let converted: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| {
            let (dtype, bytes) = convert(name, tensor, precision);
            (name, dtype, tensor.shape.as_slice(), bytes)
        })
        .collect();
    let views = converted.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.to_vec(), bytes)
            .expect("a tensor has the bytes that its shape needs");
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).expect("views of whole tensors can be written")
}

fn convert<'t>(name: &str, tensor: &'t Tensor, precision: Precision) -> (Dtype, Cow<'t, [u8]>) {
    let as_it_is = (tensor.dtype, Cow::Borrowed(tensor.bytes.as_slice()));
    let half_precise =
        tensor.shape.iter().filter(|&&length| length > 1).count() > 1 && !name.contains("filterbank");
    let values = match (precision, tensor.dtype) {
        (Precision::Exact, _) | (Precision::F32, Dtype::F32) => return as_it_is,
        (Precision::F16, Dtype::F16) if half_precise => return as_it_is,
        _ => match tensor.to_f32() {
            Some(values) => values,
            None => return as_it_is,
        },
    };
    if precision == Precision::F16 && half_precise {
        let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
        if halves.iter().zip(&values).all(|(half, value)| half.is_finite() || !value.is_finite()) {
            return (Dtype::F16, halves.iter().flat_map(|half| half.to_le_bytes()).collect());
        }
    }
    (Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

impl Converted {
    /// Writes a directory, made where it is missing. The files are the same for the same input.
    /// `precision` is that of a network alone: the networks of a pipeline are in memory as they will be
    /// in their files ([`crate::ConvertOptions::precision`]).
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, directory: &Path, precision: Precision) -> Result<()> {
        fs::create_dir_all(directory)
            .map_err(|source| Error::Write { path: directory.to_owned(), source })?;
        match self {
            Self::Pipeline(model) => write_model(directory, model),
            Self::Network(network) => write_network(directory, network, precision),
        }
    }
}

fn write_model(directory: &Path, model: &ModelFiles) -> Result<()> {
    let ModelFiles { manifest, segmentation, embedding, plda } = model;
    write(directory, &manifest.segmentation.weights, &segmentation.bytes)?;
    write(directory, &manifest.embedding.weights, &embedding.bytes)?;
    if let (Some(name), Some(plda)) = (&manifest.plda, plda) {
        write(directory, name, &plda.bytes)?;
    }
    write(directory, MANIFEST, manifest.to_toml().as_bytes())
}

fn write_network(directory: &Path, network: &Network, precision: Precision) -> Result<()> {
    let precision = if network.kind == crate::Kind::Plda { Precision::Exact } else { precision };
    write(directory, network.weights(), &encode(&network.tensors, precision))?;
    write(directory, DESCRIPTION, network.to_toml().as_bytes())
}

fn write(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let path = directory.join(name);
    fs::write(&path, bytes).map_err(|source| Error::Write { path, source })
}
