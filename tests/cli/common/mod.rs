//! Inputs for the tests of the command, and a way to run it.
#![allow(dead_code, unused_imports, reason = "some test programs use a part")]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use diarize_testkit::repository;
pub(crate) use diarize_testkit::{
    signal::{amplitude, sine},
    wav::{bytes as wav_bytes, write_f32, write_i16, write_silence},
};

/// A file of `tests/data/formats`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    repository("tests/data/formats").join(name)
}

/// Runs the command.
pub(crate) fn diarize<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_diarize")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs the command in a directory.
pub(crate) fn diarize_in(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_diarize"))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Runs the command with bytes on its standard input.
pub(crate) fn diarize_bytes(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_diarize"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The names of the files in a directory, sorted.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
