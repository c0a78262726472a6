//! Errors: a class of Python for each kind, with the library's sentence.

use diarize_cli::failure::library_sentence as sentence;
use pyo3::{
    exceptions::PyRuntimeError,
    prelude::*,
    types::{PyAnyMethods, PyType},
};

/// Why a call fails.
#[derive(Debug)]
pub enum Failure {
    /// The audio of a recording, which has this name, cannot be read.
    Audio(String, diarize_audio::Error),
    /// Diarization failed.
    Diarize(diarize::Error),
    /// A model cannot be loaded.
    Model(diarize_convert::Error),
    /// A class of `diarize_rs._errors`, and a sentence.
    Other(&'static str, String),
    /// Python raised an exception in a function that was called, such as a hook.
    Python(PyErr),
}

impl From<diarize::Error> for Failure {
    fn from(error: diarize::Error) -> Self {
        Self::Diarize(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        let (class, text) = match failure {
            Failure::Python(error) => return error,
            Failure::Audio(name, diarize_audio::Error::Missing) => {
                ("AudioFileNotFoundError", format!("{name}: {}", diarize_audio::Error::Missing))
            }
            Failure::Audio(name, error) => ("AudioError", format!("{name}: {}", sentence(&error.into()))),
            Failure::Diarize(error) => (class_of(&error), sentence(&error.into())),
            Failure::Model(diarize_convert::Error::OnMirror { name, source }) => (
                "ModelError",
                format!(
                    "{source}; or get it from a mirror, without an account: `diarize model download {name}`, then \
                     from_pretrained(\"{name}\")"
                ),
            ),
            Failure::Model(error) => ("ModelError", sentence(&error.into())),
            Failure::Other(class, text) => (class, text),
        };
        raised(class, &text)
    }
}

/// The class of an error of the library.
fn class_of(error: &diarize::Error) -> &'static str {
    use diarize::Error as E;
    match error {
        E::ReadFile { .. }
        | E::StandIn { .. }
        | E::Manifest { .. }
        | E::WeightsFile { .. }
        | E::Tensor { .. }
        | E::Plda { .. } => "ModelError",
        E::NonFiniteSample { .. } | E::SameSound { .. } => "AudioError",
        E::InvalidOption { .. } | E::NoSpeakerCount | E::NeedsNetworks { .. } | E::Setting { .. } => {
            "OptionError"
        }
        E::RttmUri { .. } | E::RttmLine { .. } | E::UemLine { .. } => "FormatError",
        E::OutOfMemory { .. } => "DeviceMemoryError",
        E::Device { .. } | E::Operation { .. } => "DeviceError",
        E::Cancelled => "CancelledError",
        _ => "ComputationError",
    }
}

/// An exception of a class of `diarize_rs._errors`.
fn raised(class: &str, sentence: &str) -> PyErr {
    Python::attach(|py| {
        let exception = py.import("diarize_rs._errors").and_then(|errors| {
            let class = errors.getattr(class)?.cast_into::<PyType>()?;
            Ok(PyErr::from_type(class, sentence.to_owned()))
        });
        exception.unwrap_or_else(|_| PyRuntimeError::new_err(sentence.to_owned()))
    })
}
