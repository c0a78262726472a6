//! Errors: what failed, where, and what to do about it.

use std::path::PathBuf;

use diarize_kernels::device::{is_out_of_memory, without_backtrace};

use crate::{Device, Stage, clustering::ClusteringError, model::StandIn};

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Any error of this crate. Silence is not an error: it gives `Ok` with no turns.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the model directory could not be read.
    #[error("cannot read {}: {source}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Error reported by the operating system.
        source: std::io::Error,
    },
    /// A file stands in for one that was not downloaded.
    #[error("{}: {stand_in}", path.display())]
    StandIn {
        /// The file.
        path: PathBuf,
        /// What it is.
        stand_in: StandIn,
    },
    /// The manifest is invalid, or requires something that this version does not support.
    #[error("{}: {reason}", path.display())]
    Manifest {
        /// The manifest file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A weights file is truncated or not safetensors.
    #[error("{}: not a complete safetensors file: {source}", path.display())]
    WeightsFile {
        /// The weights file.
        path: PathBuf,
        /// Error reported by safetensors.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A tensor of a weights file is missing or does not match the architecture.
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
    #[error("sample {index} of the audio is {value}: decode the audio again or replace such samples first")]
    NonFiniteSample {
        /// Index of the sample in the recording.
        index: usize,
        /// The value found there.
        value: f32,
    },
    /// Two channels that should have one speaker each carry the same sound.
    #[error("the channels of {} and {} carry the same sound, so everybody would appear twice: use the mean of the channels", speakers[0], speakers[1])]
    SameSound {
        /// The speakers of the channels.
        speakers: [String; 2],
    },
    /// A network produced NaN or infinity.
    #[error(
        "{stage} produced a non-finite value: the audio is far louder than full scale, or the weights or the device are faulty"
    )]
    NonFiniteOutput {
        /// The stage of the pipeline.
        stage: &'static str,
    },
    /// An option has an invalid value.
    #[error("{option} is {value}, but must be {requirement}")]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// The value given.
        value: String,
        /// Which values are valid.
        requirement: &'static str,
    },
    /// K-means clustering without a number of speakers.
    #[error("num_speakers is not given, but k-means clustering needs it, or min_speakers of at least 2")]
    NoSpeakerCount,
    /// An option of [`Embedded::cluster`](crate::Embedded::cluster) needs outputs that the networks did not
    /// compute.
    #[error("this value of {option} needs another run of the networks: they ran {reason}")]
    NeedsNetworks {
        /// The option's name.
        option: &'static str,
        /// What the networks ran with or for.
        reason: &'static str,
    },
    /// A clustering parameter cannot be set to the given value.
    #[error("{setting}: {reason}")]
    Setting {
        /// The requested assignment, as `key=value`.
        setting: String,
        /// Why it is rejected.
        reason: String,
    },
    /// The PLDA model of a model directory is invalid.
    #[error("{}: {source}", path.display())]
    Plda {
        /// The PLDA file.
        path: PathBuf,
        /// What is wrong with it.
        source: ClusteringError,
    },
    /// The requested clustering is impossible.
    #[error(transparent)]
    Clustering(#[from] ClusteringError),
    /// The recording's name is not valid in RTTM, whose fields are separated by white space.
    #[error("`{uri}` is not a valid recording name in RTTM: it is empty or contains white space")]
    RttmUri {
        /// The name given.
        uri: String,
    },
    /// A line is not valid RTTM.
    #[error("line {line} is not valid RTTM: {reason}")]
    RttmLine {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A line is not valid UEM.
    #[error("line {line} is not valid UEM: {reason}")]
    UemLine {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The device is not available, or this build does not support it.
    #[error("cannot use device {device}: {reason}")]
    Device {
        /// The requested device.
        device: Device,
        /// Why, and what to do about it.
        reason: String,
    },
    /// An operation of a stage failed on the device, or the device does not support it.
    #[error("{stage} failed on {device}: {source}")]
    Operation {
        /// The stage of the pipeline.
        stage: &'static str,
        /// The device.
        device: Device,
        /// Error reported by the tensor library.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The device does not have enough memory for a stage, even with the smallest batch.
    #[error("{stage} needs more memory than {device} has free: use another device, such as cpu")]
    OutOfMemory {
        /// The stage of the pipeline.
        stage: &'static str,
        /// The device.
        device: Device,
    },
    /// The observer cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Something outside the stages failed.
    #[error("{stage} failed: {source}")]
    Compute {
        /// The task that failed.
        stage: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// The tensor library failed to load the weights.
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

    /// Adds the device to an error of a clustering operation on a device. Clustering that was told to stop was
    /// cancelled. Other errors are unchanged.
    pub(crate) fn on(self, device: Device) -> Self {
        let stage = Stage::Clustering.name();
        match self {
            Error::Clustering(ClusteringError::Device { out_of_memory: true, .. }) => {
                Error::OutOfMemory { stage, device }
            }
            Error::Clustering(ClusteringError::Device { operation, reason, .. }) => {
                Error::Operation { stage, device, source: format!("{operation}: {reason}").into() }
            }
            Error::Clustering(ClusteringError::Stopped) => Error::Cancelled,
            error => error,
        }
    }

    /// Whether the error is specific to the device, so that another device might succeed.
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
    /// It has a different number of axes than the architecture requires.
    #[error("has shape {found:?}, but the architecture requires {expected} axes")]
    Axes {
        /// Number of axes required.
        expected: usize,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// It has a different shape than the architecture requires.
    #[error("has shape {found:?}, but the architecture requires {expected:?}")]
    Shape {
        /// Shape required.
        expected: Vec<usize>,
        /// Shape in the file.
        found: Vec<usize>,
    },
    /// Its dtype is not supported.
    #[error(
        "has dtype {found}, but only F32 and F16 are supported (also I8 for matrices and kernels, and F64 in a PLDA)"
    )]
    Dtype {
        /// Type in the file.
        found: String,
    },
    /// It has 8-bit values, but the file does not contain their scales.
    #[error("has 8-bit values, but their scales `{scales}` are missing: convert the original model again")]
    NoScales {
        /// Name of the missing tensor.
        scales: String,
    },
    /// It contains NaN or infinity.
    #[error("contains a non-finite value at flat index {index}")]
    NonFinite {
        /// Row-major index of the first non-finite value.
        index: usize,
    },
}
