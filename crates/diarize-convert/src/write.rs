//! Writes converted models to disk.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use diarize::{
    Device, Diarizer,
    model::{MANIFEST, Manifest, ModelFiles, SCALES},
};
use half::f16;
use safetensors::{Dtype, tensor::TensorView};
use tempfile::Builder;

use crate::{
    Converted, Error, Network, Result,
    quantized::quantize,
    tensor::{Tensor, TensorProblem, Tensors},
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
    /// filters, and tensors with values too large for f16 stay f32, or f16 if they are in the input.
    F16,
    /// 8 bits with a scale for each output channel for matrices and kernels, which is a quarter of the size of f32:
    /// see [`diarize::model`]. Small ones, those that 8 bits would change by more than 2 %, and all other tensors are
    /// written as with [`Self::F16`].
    Q8,
    /// The dtype of the input file.
    Exact,
}

/// Matrices and kernels with fewer values stay f16: 8 bits would save little.
const SMALLEST_Q8: usize = 4096;

/// A tensor as it is written.
struct Stored<'t> {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Cow<'t, [u8]>,
}

/// Encodes tensors as a safetensors file. The result is deterministic.
pub(crate) fn encode(tensors: &Tensors, precision: Precision) -> Vec<u8> {
    let stored: Vec<_> = tensors.iter().flat_map(|(name, tensor)| store(name, tensor, precision)).collect();
    let views = stored.iter().map(|Stored { name, dtype, shape, bytes }| {
        let view =
            TensorView::new(*dtype, shape.clone(), bytes).expect("the number of bytes matches the shape");
        (name, view)
    });
    safetensors::serialize(views, None).expect("valid tensors can be serialized")
}

/// The tensor in this precision; in 8 bits, its scales follow.
fn store<'t>(name: &str, tensor: &'t Tensor, precision: Precision) -> Vec<Stored<'t>> {
    let with =
        |dtype, bytes| vec![Stored { name: name.to_owned(), dtype, shape: tensor.shape.clone(), bytes }];
    let unchanged = || with(tensor.dtype, Cow::Borrowed(tensor.bytes.as_slice()));
    let Some(values) = tensor.to_f32().filter(|_| precision != Precision::Exact) else {
        return unchanged();
    };
    let is_matrix =
        tensor.shape.iter().filter(|&&length| length > 1).count() > 1 && !name.contains("filterbank");
    if precision == Precision::Q8
        && is_matrix
        && values.len() >= SMALLEST_Q8
        && let Some((quantized, scales)) = quantize(&values, &tensor.shape)
    {
        let mut stored = with(Dtype::I8, quantized.into());
        stored.push(Stored {
            name: format!("{name}{SCALES}"),
            dtype: Dtype::F32,
            shape: vec![scales.len()],
            bytes: scales.iter().flat_map(|scale| scale.to_le_bytes()).collect(),
        });
        return stored;
    }
    if precision != Precision::F32 && tensor.dtype == Dtype::F16 {
        return unchanged();
    }
    if precision != Precision::F32 && is_matrix {
        let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
        if halves.iter().zip(&values).all(|(half, value)| half.is_finite() || !value.is_finite()) {
            return with(Dtype::F16, halves.iter().flat_map(|half| half.to_le_bytes()).collect());
        }
    }
    with(Dtype::F32, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

impl Converted {
    /// Writes the model to a directory, which is created if it does not exist. The same input gives the same
    /// files. `precision` applies only to a single network; that of a pipeline was set by
    /// [`crate::ConvertOptions::precision`].
    ///
    /// # Errors
    /// The networks of a pipeline cannot be loaded, a value of a network is not finite, a single network would be written to
    /// the directory of a model, or a file or directory cannot be written.
    pub fn write(&self, directory: &Path, precision: Precision) -> Result<()> {
        match self {
            Self::Pipeline(model) => check_networks(model)?,
            Self::Network(_) if directory.join(MANIFEST).exists() => {
                return Err(Error::ModelThere { path: directory.to_owned() });
            }
            Self::Network(network) => check_finite(network)?,
        }
        fs::create_dir_all(directory)
            .map_err(|source| Error::Write { path: directory.to_owned(), source })?;
        match self {
            Self::Pipeline(model) => write_model(directory, model),
            Self::Network(network) => write_network(directory, network, precision),
        }
    }
}

/// Loads the networks of a model once, so that a model that cannot run is not written.
pub(crate) fn check_networks(model: &ModelFiles) -> Result<()> {
    Diarizer::from_files(model, Device::Cpu)?;
    Ok(())
}

fn check_finite(network: &Network) -> Result<()> {
    for (name, tensor) in &network.tensors {
        let index = tensor.to_f32().and_then(|values| values.iter().position(|value| !value.is_finite()));
        if let Some(index) = index {
            return Err(TensorProblem::NonFinite(index).of(name).at(&network.source));
        }
    }
    Ok(())
}

fn write_model(directory: &Path, model: &ModelFiles) -> Result<()> {
    let ModelFiles { manifest, segmentation, embedding, plda } = model;
    write(directory, &manifest.segmentation.weights, &segmentation.bytes)?;
    write(directory, &manifest.embedding.weights, &embedding.bytes)?;
    if let (Some(name), Some(plda)) = (&manifest.plda, plda) {
        write(directory, name, &plda.bytes)?;
    }
    // A manifest that says the same keeps its comments.
    let path = directory.join(MANIFEST);
    let kept = fs::read(&path).ok().and_then(|bytes| Manifest::parse(&path, &bytes).ok());
    if kept.as_ref() == Some(manifest) {
        return Ok(());
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
