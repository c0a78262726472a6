//! The native half of the Python package `diarize_rs`. Its other half, in `python/diarize_rs`, gives this one pyannote's
//! names.
//!
//! Work runs on a thread of its own and without Python's lock, while the thread that called answers signals and hooks
//! (see [`attendant`]). The threads that compute belong to the process that created them (see [`threads`]).

// PyO3's macros expand to unsafe code, which they allow for themselves. It cannot be forbidden, but ours is denied.
#![deny(unsafe_code)]

mod array;
mod attendant;
mod exit;
mod failure;
mod listener;
mod model;
mod options;
mod program;
mod results;
mod scoring;
mod source;
mod threads;
mod voices;

/// The extension module.
#[pyo3::pymodule(name = "_native", gil_used = false)]
mod native {
    #[pymodule_export]
    use crate::{
        attendant::Stop,
        exit::end_calls,
        listener::Listener,
        model::{Model, devices},
        options::Options,
        program::main,
        results::{overlaps, read_rttm, rttm},
        scoring::score,
        source::Source,
        voices::Voices,
    };

    /// The version of the package.
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
