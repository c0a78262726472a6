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

/// Writes the first seconds of the sample conversation, which are processed quickly. `audio` becomes a WAV file,
/// whatever its extension is, and `turns` an RTTM file with the reference turns.
pub(crate) fn write_excerpt(seconds: u32, audio: &Path, turns: &Path) {
    let data = repository("tests/data");
    let samples = diarize_audio::read(&data.join("conversation.flac"), &Default::default()).unwrap().samples;
    let samples = &samples[..seconds as usize * 16_000];
    let samples: Vec<i16> = samples.iter().map(|sample| (sample * 32768.0) as i16).collect();
    write_i16(audio, 16_000, 1, &samples);
    let rttm = fs::read_to_string(data.join("conversation.rttm")).unwrap();
    let inside = |line: &&str| {
        let number = |field| line.split(' ').nth(field).unwrap().parse::<f64>().unwrap();
        number(3) + number(4) < f64::from(seconds)
    };
    let lines: Vec<&str> = rttm.lines().filter(inside).collect();
    fs::write(turns, lines.join("\n") + "\n").unwrap();
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
