//! Errors: what failed, where, and what to do about it.

use std::path::PathBuf;

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Any error of this crate. Silence is not an error: it gives `Ok` with no segments.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the model could not be read.
    #[error("cannot read {}: {source}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// Error reported by the operating system.
        source: std::io::Error,
    },
    /// The folder contains no model.
    #[error(
        "{}: not a Whisper model: it has neither model.safetensors (Hugging Face), model.bin (CTranslate2, faster-whisper) nor \
         a GGUF file",
        folder.display()
    )]
    NoModel {
        /// The folder.
        folder: PathBuf,
    },
    /// Another file is in the place of one of the model's.
    #[error("{}: {stand_in}", path.display())]
    StandIn {
        /// The file.
        path: PathBuf,
        /// What it is.
        stand_in: diarize::model::StandIn,
    },
    /// A file of the model is damaged, or is not what its name says.
    #[error("{}: {reason}", path.display())]
    InvalidFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A device cannot be used.
    #[error("cannot use device {device}: {reason}")]
    Device {
        /// The device.
        device: diarize::Device,
        /// Why it cannot be used, and what to do.
        reason: String,
    },
    /// An option has an invalid value.
    #[error("{option} is {value}, but must be {requirement}")]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// The value given.
        value: String,
        /// Which values are valid.
        requirement: String,
    },
    /// A sample of the audio is NaN or infinite.
    #[error("sample {index} of the audio is {value}: decode the audio again or replace such samples first")]
    NonFiniteSample {
        /// Index of the sample.
        index: usize,
        /// The value found there.
        value: f32,
    },
    /// A network produced NaN or infinity.
    #[error(
        "the {network} of Whisper produced a non-finite value: a value does not fit into f16, if that is the precision, or the \
         weights or the device are faulty"
    )]
    NonFiniteOutput {
        /// The network.
        network: &'static str,
    },
    /// Computing failed.
    #[error("the networks of Whisper failed: {0}")]
    Compute(Box<dyn std::error::Error + Send + Sync>),
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        Self::Compute(diarize_kernels::device::without_backtrace(error).into())
    }
}
