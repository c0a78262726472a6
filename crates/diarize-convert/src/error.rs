//! The error type. Every error names the file and the reason.

use std::path::PathBuf;

use diarize::model::StandIn;
use safetensors::SafeTensorError;

use crate::{
    archive::ArchiveProblem, hub::HubError, npz::NpyProblem, onnx::OnnxProblem, pickle::PickleProblem,
    pipeline::ConfigProblem, pyannote::NetworkProblem, tensor::TensorProblem,
};

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or directory could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file or directory could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The folder for models cannot be used.
    #[error("cannot use the folder for models {} ({source}): set DIARIZE_MODELS to a folder that can be written", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file is larger than any checkpoint.
    #[error("{}: the file has {size} bytes, but at most {limit} are supported", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The maximum size in bytes.
        limit: u64,
    },
    /// The content of a file is invalid or unsupported.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The input is neither a path nor the name of a model or hub repository.
    #[error(
        "{input}: no such file or directory, and neither a model that `diarize model list` shows nor the name of a \
         hub repository such as pyannote/speaker-diarization-3.1"
    )]
    NoSuchInput {
        /// The input.
        input: String,
    },
    /// A directory contains no model.
    #[error(
        "{}: not a model directory: none of manifest.toml, the config.yaml of a pipeline, pytorch_model.bin, model.safetensors, \
         avg_model.pt, avg_model, model.onnx, model.int8.onnx, a single .ckpt file, or plda.npz with xvec_transform.npz found",
        path.display()
    )]
    EmptyDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// A directory contains several checkpoints.
    #[error("{}: there are several .ckpt files: name one of them", path.display())]
    SeveralCheckpoints {
        /// The directory.
        path: PathBuf,
    },
    /// The hub refuses a pipeline that the list of models has too.
    #[error(
        "{source}; or get it from a mirror, without an account: `diarize model download {name}`, then --model {name}"
    )]
    OnMirror {
        /// The name in the list.
        name: String,
        /// The hub's refusal.
        source: Box<HubError>,
    },
    /// The input is a single network, but a whole pipeline is needed.
    #[error(
        "{input} is only {kind}, but a diarizer needs a segmentation and an embedding network: \
         `cargo xtask convert-weights` combines two networks into a model"
    )]
    NotAPipeline {
        /// The input.
        input: String,
        /// The kind of network.
        kind: &'static str,
    },
    /// The input is a single network, and the options do not name the one that is missing for a pipeline.
    #[error(
        "{input} is only {kind}, which has no networks to replace: name the other network of the pipeline, a segmentation \
         network for an embedding network or the reverse, or convert a pipeline"
    )]
    NothingToReplace {
        /// The input.
        input: String,
        /// The kind of network.
        kind: &'static str,
    },
    /// A single network was to be written over a model.
    #[error("{} contains a converted model, which a single network would damage: use another directory", path.display())]
    ModelThere {
        /// The model directory.
        path: PathBuf,
    },
    /// A network of a pipeline is to come from a whole model.
    #[error(
        "{input} is a whole model, but a single network is needed: name the checkpoint of that network or its repository"
    )]
    NotANetwork {
        /// The input.
        input: String,
    },
    /// A network of a converted model was to be replaced.
    #[error(
        "{}: the networks of a converted model cannot be replaced: convert its original, {original}, with the other network",
        path.display()
    )]
    AlreadyConverted {
        /// The model directory.
        path: PathBuf,
        /// What its manifest names as source.
        original: String,
    },
    /// The list of models is invalid.
    #[error("{}: not a list of models: {problem}", path.display())]
    Catalogue {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A model of the catalogue has not been downloaded.
    #[error("{name} is not on this machine: get it once with `diarize model download {name}`")]
    NotDownloaded {
        /// The model's name.
        name: String,
    },
    /// A model of the catalogue finds words, not speakers.
    #[error("{name} finds words, not speakers: use it with `diarize transcribe --whisper {name}`")]
    FindsWords {
        /// The model's name.
        name: String,
    },
    /// No source has the files of a model.
    #[error("{name} could not be downloaded from any of its sources: {reasons}")]
    NoSource {
        /// The model's name.
        name: String,
        /// The reason for each source.
        reasons: String,
    },
    /// No mirror has the files of a model, but its publisher may have them.
    #[error(
        "{name} could not be downloaded from any of its sources: {reasons}; `diarize model download {name} --from-publisher` \
         asks its publisher, which needs an account"
    )]
    NoMirror {
        /// The model's name.
        name: String,
        /// The reason for each source.
        reasons: String,
    },
    /// The hub cannot be reached.
    #[error(
        "{source}; or run `diarize model download {name} --output DIR` on a machine with a connection, and copy DIR to this one \
         for {option} DIR"
    )]
    Unreachable {
        /// The model's name.
        name: String,
        /// The option that takes the model's folder.
        option: &'static str,
        /// Why the hub cannot be reached.
        source: Box<HubError>,
    },
    /// A model of the catalogue is on this machine, but from another origin than requested.
    #[error(
        "{name} is already on this machine, from {origin}: to download it from its publisher, first delete {}",
        directory.display()
    )]
    OtherOrigin {
        /// The model's name.
        name: String,
        /// Where it comes from.
        origin: String,
        /// Where it is.
        directory: PathBuf,
    },
    /// A file that must not change has changed since its first download.
    #[error(
        "{name} {change} at its first download, although its commit is the same: the hub or the \
         cache cannot be trusted; delete {} to download it again, or its entry in {} to accept it",
        file.display(), record.display()
    )]
    Changed {
        /// The repository, its revision and the file.
        name: String,
        /// The file on this machine.
        file: PathBuf,
        /// The record of downloads.
        record: PathBuf,
        /// The SHA-256 now and at the first download.
        change: String,
    },
    /// A file could not be fetched from the hub.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A converted model is invalid or cannot be read.
    #[error(transparent)]
    Model(#[from] diarize::Error),
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file is not the one that was to be downloaded.
    #[error(transparent)]
    StandIn(#[from] StandIn),
    /// The path is a pipe or a device.
    #[error("not a file but a pipe or a device: name a file")]
    Special,
    /// The format is not supported.
    #[error("unknown format: not a PyTorch checkpoint, safetensors, ONNX, npz or YAML file")]
    UnknownFormat,
    /// A malformed pickle.
    #[error(transparent)]
    Pickle(#[from] PickleProblem),
    /// A malformed or unsupported ONNX file.
    #[error(transparent)]
    Onnx(#[from] OnnxProblem),
    /// A malformed archive.
    #[error(transparent)]
    Archive(#[from] ArchiveProblem),
    /// A safetensors file that ends too early.
    #[error("not a complete safetensors file: download it again")]
    IncompleteWeights,
    /// A malformed JSON file.
    #[error("not a valid JSON file: {0}")]
    InvalidJson(serde_json::Error),
    /// A malformed safetensors file.
    #[error("not a valid safetensors file: {0}")]
    Safetensors(#[from] SafeTensorError),
    /// A tensor that cannot be read.
    #[error("tensor `{name}` {problem}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What is wrong with it.
        problem: TensorProblem,
    },
    /// An array that cannot be read.
    #[error("array `{array}` {problem}")]
    Npy {
        /// The array's name.
        array: String,
        /// What is wrong with it.
        problem: NpyProblem,
    },
    /// The file is big-endian.
    #[error("big-endian files are not supported")]
    BigEndian,
    /// A compiled module instead of a checkpoint.
    #[error("this is a TorchScript module, which has no state dict; a checkpoint is needed")]
    TorchScript,
    /// The file has neither of the two formats of `torch.save`.
    #[error("not a file written by torch.save")]
    NotTorch,
    /// An unknown version of the legacy format.
    #[error("unknown version of PyTorch's legacy format")]
    LegacyProtocol,
    /// A file in the legacy format is truncated.
    #[error("the file ends within the values of storage `{storage}`")]
    LegacyTruncated {
        /// Name of the storage.
        storage: String,
    },
    /// A checkpoint without tensors.
    #[error("the file has no state dict with named tensors")]
    NoTensors,
    /// The tensors are not those of a supported network.
    #[error(transparent)]
    Network(#[from] NetworkProblem),
    /// An invalid or unsupported configuration.
    #[error(transparent)]
    Config(#[from] ConfigProblem),
}

impl Problem {
    /// Turns this problem into the error of the file at `path`.
    pub(crate) fn at(self, path: impl Into<PathBuf>) -> Error {
        Error::File { path: path.into(), problem: self }
    }
}

impl TensorProblem {
    /// Turns this into the problem of the tensor `name`.
    pub(crate) fn of(self, name: &str) -> Problem {
        Problem::Tensor { name: name.to_owned(), problem: self }
    }
}
