//! Models that find words: Whisper as on the hub. Their files are stored as they are.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use safetensors::tensor::Metadata;

use crate::{Error, Problem, Result};

/// The files without which such a model cannot be used.
pub(super) const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// The extension of files with weights.
const WEIGHTS: &str = "safetensors";

/// Checks that a file is complete. Weights may have many gigabytes, so only their header is read.
///
/// # Errors
/// The file cannot be read, or is not of the type that its name says.
pub(super) fn check(path: &Path) -> Result<()> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let faulty = |problem: Problem| problem.at(path.display().to_string());
    if path.extension().is_some_and(|extension| extension == WEIGHTS) {
        return match is_complete(path).map_err(unreadable)? {
            true => Ok(()),
            false => Err(faulty(Problem::IncompleteWeights)),
        };
    }
    let text = fs::read(path).map_err(unreadable)?;
    serde_json::from_slice::<serde::de::IgnoredAny>(&text)
        .map_err(|error| faulty(Problem::InvalidJson(error)))
        .map(drop)
}

/// Whether a safetensors file has a header, and ends where the header says.
fn is_complete(path: &Path) -> io::Result<bool> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    if length < 8 {
        return Ok(false);
    }
    let mut size = [0; 8];
    file.read_exact(&mut size)?;
    let size = u64::from_le_bytes(size);
    let Some(rest) = (length - 8).checked_sub(size) else { return Ok(false) };
    let mut header = Vec::new();
    file.take(size).read_to_end(&mut header)?;
    Ok(serde_json::from_slice::<Metadata>(&header).is_ok_and(|header| header.data_len() as u64 == rest))
}
