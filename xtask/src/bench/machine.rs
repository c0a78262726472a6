//! The machine that the programs run on, as Linux tells of it.

use std::{fs, process::Command};

use anyhow::{Context, Result};

/// Processors that this process may use.
pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The processor's name in small letters and hyphens.
pub(super) fn name() -> String {
    let name = field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}

/// Processors, memory, load and the commit that was built.
pub(super) fn description() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg").context("cannot read the load: this needs Linux")?;
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

/// The first value of that name in a file of `name: value` lines.
fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}
