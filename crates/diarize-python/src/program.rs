//! The program `diarize`, whose weights are those of this library.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use pyo3::prelude::*;

/// Runs the program with a command line, whose first word is its name. Returns the exit code.
#[pyfunction]
pub fn main(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| {
        let code = diarize_cli::program::run(&arguments);
        // At the end of a program in Rust, that happens by itself.
        let _ = io::stdout().flush();
        number(code)
    })
}

/// The number of an exit code, which does not tell it.
fn number(code: ExitCode) -> u8 {
    (0..=u8::MAX).find(|&number| ExitCode::from(number) == code).unwrap_or(1)
}
