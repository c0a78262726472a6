//! Everything that can go wrong, each with the file and the reason.

use std::path::PathBuf;

use safetensors::SafeTensorError;

use crate::{
    archive::ArchiveProblem, hub::HubError, npz::NpyProblem, pickle::PickleProblem, pipeline::ConfigProblem,
    pyannote::NetworkProblem, tensor::TensorProblem,
};

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file or directory could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file is larger than any checkpoint.
    #[error("{}: {size} bytes are more than the {limit} that are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The largest size that is read.
        limit: u64,
    },
    /// A file is not what it should be.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
    /// What was given is neither on the disk nor on a hub.
    #[error(
        "{input}: there is no such file or directory, and it is not a name of a hub repository such as \
         pyannote/speaker-diarization-3.1"
    )]
    NoSuchInput {
        /// What was given.
        input: String,
    },
    /// A directory holds nothing that is known.
    #[error(
        "{}: holds none of manifest.toml, config.yaml, pytorch_model.bin, model.safetensors, avg_model.pt, \
         a single .ckpt file, or plda.npz with xvec_transform.npz",
        path.display()
    )]
    EmptyDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// A single network was given where a whole pipeline is needed.
    #[error(
        "{input} is {kind} alone, but a diarizer needs a segmentation and an embedding network: \
         `cargo xtask convert-weights` makes a model of two"
    )]
    NotAPipeline {
        /// What was given.
        input: String,
        /// What it is.
        kind: &'static str,
    },
    /// The hub gave no file.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A converted model that cannot be read or written.
    #[error(transparent)]
    Model(#[from] diarize::Error),
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// None of the formats that are read.
    #[error("neither a PyTorch checkpoint, nor safetensors, npz or yaml")]
    UnknownFormat,
    /// A malformed pickle.
    #[error(transparent)]
    Pickle(#[from] PickleProblem),
    /// A malformed archive.
    #[error(transparent)]
    Archive(#[from] ArchiveProblem),
    /// A malformed safetensors file.
    #[error("not a whole safetensors file: {0}")]
    Safetensors(#[from] SafeTensorError),
    /// A tensor that is not read.
    #[error("tensor `{name}` {problem}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What is wrong with it.
        problem: TensorProblem,
    },
    /// An array that is not read.
    #[error("array `{array}` {problem}")]
    Npy {
        /// The array's name.
        array: String,
        /// What is wrong with it.
        problem: NpyProblem,
    },
    /// Numbers of the other byte order.
    #[error("its numbers are big-endian, which is not read")]
    BigEndian,
    /// A compiled module instead of a checkpoint.
    #[error("a TorchScript module, not a checkpoint: there is no state dict in it")]
    TorchScript,
    /// Neither a zip archive nor the older format.
    #[error("not written by torch.save: it has neither of its two formats")]
    NotTorch,
    /// A version of the older format that was never released.
    #[error("a version of PyTorch's older format that is not known")]
    LegacyProtocol,
    /// The older format ends before all values.
    #[error("ends in the middle of the values of storage `{storage}`")]
    LegacyTruncated {
        /// Name of the storage.
        storage: String,
    },
    /// A checkpoint without tensors.
    #[error("holds no state dict: no tensors under names")]
    NoTensors,
    /// Tensors that are not the network they should be.
    #[error(transparent)]
    Network(#[from] NetworkProblem),
    /// A configuration that is not understood.
    #[error(transparent)]
    Config(#[from] ConfigProblem),
}

impl Problem {
    /// The problem of the file at `path`.
    pub(crate) fn at(self, path: impl Into<PathBuf>) -> Error {
        Error::File { path: path.into(), problem: self }
    }
}

impl TensorProblem {
    /// The problem of the tensor called `name`.
    pub(crate) fn of(self, name: &str) -> Problem {
        Problem::Tensor { name: name.to_owned(), problem: self }
    }
}
