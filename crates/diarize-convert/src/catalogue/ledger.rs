//! The hashes of downloaded files whose hash the catalogue does not give.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::download::lock;
use crate::{
    Error, Result,
    hub::{Fetched, sha256},
    write::replace,
};

/// File name of the record, in the folder for models.
pub(super) const FILE: &str = "downloads.toml";

/// What was downloaded, by `owner/name@revision/file`.
type Ledger = BTreeMap<String, Entry>;

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
struct Entry {
    /// The commit of the last download.
    commit: String,
    /// SHA-256 at the first download of each commit.
    sha256: BTreeMap<String, String>,
}

/// A file whose conversion is still to come, with its hash.
pub(super) struct Pending {
    /// `owner/name@revision/file`.
    name: String,
    commit: String,
    sha256: String,
}

/// Compares a file with the one that was downloaded first under this name from the same commit. A branch that has moved is
/// reported.
///
/// # Errors
/// The content of the commit has changed, or the record cannot be read.
pub(super) fn check(folder: &Path, name: String, fetched: &Fetched) -> Result<Pending> {
    let path = folder.join(FILE);
    let ledger = read(&path)?;
    let hash = sha256(&fetched.path).map_err(|source| Error::Read { path: fetched.path.clone(), source })?;
    let Some(entry) = ledger.get(&name) else {
        return Ok(Pending { name, commit: fetched.commit.clone(), sha256: hash });
    };
    if let Some(first) = entry.sha256.get(&fetched.commit)
        && *first != hash
    {
        let file = fetched.path.canonicalize().unwrap_or_else(|_| fetched.path.clone());
        let change = format!("has SHA-256 {hash}, but had {first}");
        return Err(Error::Changed { name, file, record: path, change });
    }
    if entry.commit != fetched.commit {
        let same = entry.sha256.get(&entry.commit) == Some(&hash);
        let change = if same { "is the same" } else { "has changed" };
        tracing::warn!(
            "{name}: the branch has moved from commit {} to {} since the last download, and the file {change}",
            entry.commit,
            fetched.commit
        );
    }
    Ok(Pending { name, commit: fetched.commit.clone(), sha256: hash })
}

/// Records files that have been converted. A damaged file is never recorded, so that the genuine one is accepted later.
///
/// # Errors
/// The record cannot be read or written.
pub(super) fn record(folder: &Path, files: Vec<Pending>) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    let _lock = lock(folder, ".downloads.lock")?;
    let path = folder.join(FILE);
    let mut ledger = read(&path)?;
    for Pending { name, commit, sha256 } in files {
        let entry = ledger.entry(name).or_default();
        entry.sha256.entry(commit.clone()).or_insert(sha256);
        entry.commit = commit;
    }
    let text = toml::to_string(&ledger).expect("every record is valid TOML");
    replace(&path, text.as_bytes()).map_err(|source| Error::Write { path, source })
}

fn read(path: &Path) -> Result<Ledger> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    match fs::read_to_string(path) {
        Ok(text) => toml::from_str(&text)
            .map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error.message()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Ledger::new()),
        Err(source) => Err(unreadable(source)),
    }
}
