//! Describes the machine from the information that Linux provides.

use std::{fs, process::Command};

use anyhow::{Context, Result};

/// Number of cores that this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The CPU's name in lowercase, with hyphens between words.
pub(super) fn name() -> String {
    let name = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

/// Describes CPU, memory, load and the current commit.
pub(super) fn description() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg").context("cannot read the load, which needs Linux")?;
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let processor = field("/proc/cpuinfo", "model name").unwrap_or_default();
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let commit = Command::new("git").args(["log", "-1", "--format=%h of %cs"]).output();
    let commit =
        commit.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    Ok(format!(
        "{processor}, {} cores, {memory} of memory; load at the end {load}; commit {commit}.",
        cores()
    ))
}

/// The first value with this name in a file of `name: value` lines.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}
