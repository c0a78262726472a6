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
const FILE: &str = "downloads.toml";

/// What was downloaded first, by `owner/name@revision/file`.
type Ledger = BTreeMap<String, Entry>;

#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
struct Entry {
    commit: String,
    sha256: String,
}

/// Compares a file with the one that was downloaded first under this name, and records it. A branch that has moved is reported.
///
/// # Errors
/// The content of the same commit has changed, or the record cannot be read or written.
pub(super) fn record(folder: &Path, name: &str, fetched: &Fetched) -> Result<()> {
    let _lock = lock(folder, ".downloads.lock")?;
    let path = folder.join(FILE);
    let unreadable = |source| Error::Read { path: path.clone(), source };
    let mut ledger: Ledger = match fs::read_to_string(&path) {
        Ok(text) => toml::from_str(&text)
            .map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error.message())))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ledger::new(),
        Err(source) => return Err(unreadable(source)),
    };
    let hash = sha256(&fetched.path).map_err(|source| Error::Read { path: fetched.path.clone(), source })?;
    let entry = Entry { commit: fetched.commit.clone(), sha256: hash };
    match ledger.get(name) {
        Some(first) if *first == entry => return Ok(()),
        Some(first) if first.commit == entry.commit => {
            let (found, expected) = (entry.sha256, first.sha256.clone());
            return Err(Error::Changed { name: name.to_owned(), record: path, expected, found });
        }
        Some(first) => {
            let change = if first.sha256 == entry.sha256 { "is the same" } else { "has changed" };
            tracing::warn!(
                "{name}: the branch has moved from commit {} to {} since the first download, and the file {change}",
                first.commit,
                entry.commit
            );
        }
        None => {}
    }
    ledger.insert(name.to_owned(), entry);
    let text = toml::to_string(&ledger).expect("every record is valid TOML");
    replace(&path, text.as_bytes()).map_err(|source| Error::Write { path, source })
}
