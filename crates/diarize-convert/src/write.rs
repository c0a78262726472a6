//! Writes converted models to disk.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use diarize::model::{MANIFEST, ModelFiles};
use half::f16;
use safetensors::{Dtype, tensor::TensorView};
use tempfile::Builder;

use crate::{
    Converted, Error, Network, Result,
    tensor::{Tensor, Tensors},
};

/// File name of the description of a single network.
const DESCRIPTION: &str = "network.toml";

/// The precision in which floating-point tensors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// f32.
    #[default]
    F32,
    /// f16 for matrices and kernels, which halves their size. Vectors (biases, norms), the parameters of sinc
    /// filters, and tensors with values too large for f16 stay f32.
    F16,
    /// The dtype of the input file.
    Exact,
}

/// Encodes tensors as a safetensors file. The result is deterministic.
pub(crate) fn encode(tensors: &Tensors, precision: Precision) -> Vec<u8> {
    let converted: Vec<_> = tensors
        .iter()
        .map(|(name, tensor)| {
            let (dtype, bytes) = convert(name, tensor, precision);
            (name, dtype, tensor.shape.as_slice(), bytes)
        })
        .collect();
    let views = converted.iter().map(|(name, dtype, shape, bytes)| {
        let view =
            TensorView::new(*dtype, shape.to_vec(), bytes).expect("the number of bytes matches the shape");
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).expect("valid tensors can be serialized")
}

fn convert<'t>(name: &str, tensor: &'t Tensor, precision: Precision) -> (Dtype, Cow<'t, [u8]>) {
    let unchanged = (tensor.dtype, Cow::Borrowed(tensor.bytes.as_slice()));
    let can_be_f16 =
        tensor.shape.iter().filter(|&&length| length > 1).count() > 1 && !name.contains("filterbank");
    let values = match (precision, tensor.dtype) {
        (Precision::Exact, _) | (Precision::F32, Dtype::F32) => return unchanged,
        (Precision::F16, Dtype::F16) if can_be_f16 => return unchanged,
        _ => match tensor.to_f32() {
            Some(values) => values,
            None => return unchanged,
        },
    };
    if precision == Precision::F16 && can_be_f16 {
        let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
        if halves.iter().zip(&values).all(|(half, value)| half.is_finite() || !value.is_finite()) {
            return (Dtype::F16, halves.iter().flat_map(|half| half.to_le_bytes()).collect());
        }
    }
    (Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

impl Converted {
    /// Writes the model to a directory, which is created if it does not exist. The same input gives the same
    /// files. `precision` applies only to a single network; that of a pipeline was set by
    /// [`crate::ConvertOptions::precision`].
    ///
    /// # Errors
    /// A file or directory cannot be written.
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
    replace(&path, bytes).map_err(|source| Error::Write { path, source })
}

/// Writes a file. Another process that reads or writes the same file sees either the old or the new content.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut temporary = Builder::new()
        .prefix(".diarize-")
        .suffix(".partial")
        .make_in(folder, |path| File::create_new(path))?;
    temporary.write_all(bytes)?;
    temporary.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}
