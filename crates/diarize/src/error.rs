//! Everything that can go wrong, each with what, where and what to do.

use std::path::PathBuf;

use diarize_kernels::device::{is_out_of_memory, without_backtrace};

use crate::{Device, Span, Stage, clustering::ClusteringError};

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong. Silence is not among it: it is `Ok` with no turns.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the model directory could not be read.
    #[error("cannot read {}: {source}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The manifest is invalid, or asks for what this version does not know.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The manifest file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A weights file is truncated or not safetensors.
    #[error("{}: not a whole safetensors file: {source}", path.display())]
    WeightsFile {
        /// The weights file.
        path: PathBuf,
        /// What the reader said.
        source: safetensors::SafeTensorError,
    },
    /// One tensor of a weights file is missing or not what the architecture needs.
    #[error("{}: tensor `{tensor}` {problem}", path.display())]
    Tensor {
        /// The weights file.
        path: PathBuf,
        /// The tensor's name.
        tensor: String,
        /// What is wrong with it.
        problem: TensorProblem,
    },
    /// A sample of the audio is NaN or infinite.
    #[error("sample {index} of the audio is {value}: decode the audio again or clean it first")]
    NonFiniteSample {
        /// Position in the samples given.
        index: usize,
        /// The value found there.
        value: f32,
    },
    /// A network produced NaN or infinity.
    #[error("{stage} produced a non-finite number: the weights or the device are broken")]
    NonFiniteOutput {
        /// The stage of the pipeline.
        stage: &'static str,
    },
    /// A span of a recording is too short to be embedded, or lies outside.
    #[error(
        "{:.3} s to {:.3} s cannot be embedded: it takes at least {least} s of the recording's {duration:.3} s",
        span.start, span.end
    )]
    ShortSpan {
        /// The span.
        span: Span,
        /// Length of the recording in seconds.
        duration: f64,
        /// The shortest span that has an embedding, in seconds.
        least: f64,
    },
    /// An option has a value that makes no sense.
    #[error("{option} is {value}, but must be {requirement}")]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// The value given.
        value: String,
        /// What it must be.
        requirement: &'static str,
    },
    /// A parameter of the clustering cannot be set so.
    #[error("{setting}: {reason}")]
    Setting {
        /// What was to be set, as `key=value`.
        setting: String,
        /// Why not.
        reason: String,
    },
    /// The PLDA model of a model directory is broken.
    #[error("{}: {source}", path.display())]
    Plda {
        /// The PLDA file.
        path: PathBuf,
        /// What is wrong with it.
        source: ClusteringError,
    },
    /// The clustering that was asked for is impossible.
    #[error(transparent)]
    Clustering(#[from] ClusteringError),
    /// The name of a recording cannot stand in an RTTM file, whose fields are separated by blanks.
    #[error("`{uri}` cannot name a recording in RTTM: it is empty or holds white space")]
    RttmUri {
        /// The name given.
        uri: String,
    },
    /// A line of an RTTM file is not one.
    #[error("line {line} is not RTTM: {reason}")]
    RttmLine {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A line of a UEM file is not one.
    #[error("line {line} is not UEM: {reason}")]
    UemLine {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The device is not there, or this build cannot use it.
    #[error("cannot use device {device}: {reason}")]
    Device {
        /// The device asked for.
        device: Device,
        /// Why not, and what to do.
        reason: String,
    },
    /// An operation of a stage failed on the device, or the device lacks it.
    #[error("{stage} failed on {device}: {source}")]
    Operation {
        /// The stage of the pipeline.
        stage: &'static str,
        /// The device.
        device: Device,
        /// What the tensor library said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The device's memory is too small for the smallest batch of a stage.
    #[error("{stage} needs more memory than {device} has free: use another device, such as cpu")]
    OutOfMemory {
        /// The stage of the pipeline.
        stage: &'static str,
        /// The device.
        device: Device,
    },
    /// The observer asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Something beside the stages failed.
    #[error("{stage} failed: {source}")]
    Compute {
        /// What was being done.
        stage: &'static str,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// The tensor library failed to take the weights.
    pub(crate) fn loading(source: candle_core::Error) -> Self {
        Error::Compute { stage: "loading the weights", source: without_backtrace(source).into() }
    }

    /// The tensor library failed in a stage on a device.
    pub(crate) fn operation(stage: &'static str, device: Device, source: candle_core::Error) -> Self {
        match is_out_of_memory(&source) {
            true => Error::OutOfMemory { stage, device },
            false => Error::Operation { stage, device, source: without_backtrace(source).into() },
        }
    }

    /// The same error, with the name of the device if an operation of the clustering failed on it.
    pub(crate) fn on(self, device: Device) -> Self {
        let stage = Stage::Clustering.name();
        match self {
            Error::Clustering(ClusteringError::Device { out_of_memory: true, .. }) => {
                Error::OutOfMemory { stage, device }
            }
            Error::Clustering(ClusteringError::Device { operation, reason, .. }) => {
                Error::Operation { stage, device, source: format!("{operation}: {reason}").into() }
            }
            error => error,
        }
    }

    /// Whether the device is to blame, so that another one might do it.
    pub(crate) fn is_of_device(&self) -> bool {
        matches!(self, Error::Operation { .. } | Error::OutOfMemory { .. })
    }
}

/// What is wrong with a tensor of a weights file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorProblem {
    /// It is not in the file.
    #[error("is missing")]
    Missing,
    /// It has another number of axes than the architecture needs.
    #[error("has shape {found:?}, the architecture needs {expected} axes")]
    Axes {
        /// Axes needed.
        expected: usize,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// Its shape is not the one that the manifest's architecture needs.
    #[error("has shape {found:?}, the architecture needs {expected:?}")]
    Shape {
        /// Shape the architecture needs.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// Its numbers are neither f32 nor f16.
    #[error("has dtype {found}, only F32 and F16 are read, and F64 in a PLDA")]
    Dtype {
        /// Type in the file.
        found: String,
    },
    /// It holds NaN or infinity.
    #[error("holds a non-finite value at flat index {index}")]
    NonFinite {
        /// Row-major position of the first one.
        index: usize,
    },
}
