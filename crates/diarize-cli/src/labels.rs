//! Turns and scored spans of recordings, read from files.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use diarize::{Span, Turn, scoring::parse_uem};

use crate::timeline::Timeline;

/// The turns of recordings, by name.
pub type Turns = BTreeMap<String, Vec<Turn>>;

/// The scored spans of recordings, by name.
pub type Evaluated = BTreeMap<String, Vec<Span>>;

/// The turns of each recording by name, from a file of results (RTTM or JSON; `-` is the standard input) or
/// from all such files in a directory.
///
/// # Errors
/// If a file cannot be read or is neither RTTM nor JSON, or if a recording is in two files.
pub fn turns(path: &Path) -> anyhow::Result<Turns> {
    if !path.is_dir() {
        let timelines = timelines(path)?;
        return Ok(timelines.into_iter().map(|timeline| (timeline.name, timeline.turns)).collect());
    }
    let mut found: BTreeMap<String, (PathBuf, Vec<Turn>)> = BTreeMap::new();
    for file in files(path, &["rttm", "json"])? {
        let timelines = timelines(&file)?;
        // A recording without turns has no line in RTTM; its name is that of the file.
        if timelines.is_empty() {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.entry(name).or_insert_with(|| (file.clone(), Vec::new()));
        }
        for timeline in timelines {
            if let Some((other, turns)) = found.get(&timeline.name)
                && !turns.is_empty()
            {
                let name = &timeline.name;
                bail!("{name} is in both {} and {}: use only one of them", other.display(), file.display());
            }
            found.insert(timeline.name, (file.clone(), timeline.turns));
        }
    }
    ensure!(!found.is_empty(), "the directory {} contains no RTTM or JSON files", path.display());
    Ok(found.into_iter().map(|(name, (_, turns))| (name, turns)).collect())
}

/// The files of a directory that have one of the extensions, sorted by name.
pub fn files(directory: &Path, extensions: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let list = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut files = list().with_context(|| format!("cannot read the directory {}", directory.display()))?;
    files.retain(|file| {
        let extension = file.extension().unwrap_or_default();
        file.is_file() && extensions.iter().any(|known| extension.eq_ignore_ascii_case(known))
    });
    files.sort();
    Ok(files)
}

/// The scored spans of each recording, from a UEM file.
///
/// # Errors
/// If the file cannot be read or is not UEM.
pub fn evaluated(path: &Path) -> anyhow::Result<Evaluated> {
    let text = text(path)?;
    Ok(parse_uem(&text).with_context(|| path.display().to_string())?.into_iter().collect())
}

fn timelines(path: &Path) -> anyhow::Result<Vec<Timeline>> {
    Timeline::parse(&text(path)?).with_context(|| path.display().to_string())
}

fn text(path: &Path) -> anyhow::Result<String> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("cannot read the standard input")?;
        return Ok(text);
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
