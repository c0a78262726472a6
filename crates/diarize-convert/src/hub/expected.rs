//! What a file must be, where that is known before its download.

use std::{
    fmt::Display,
    fs::{self, File},
    io,
    path::Path,
};

use super::{
    HubError,
    metadata::{Hash, Metadata},
    part::{Part, hash},
};

/// The known properties of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Size in bytes.
    pub(crate) size: Option<u64>,
    /// SHA-256 of the content, in hexadecimal.
    pub(crate) sha256: Option<String>,
    /// Whether a cached file of a pinned commit must have the hash that the hub states, if the hub can be reached.
    pub(crate) hash_of_hub: bool,
}

impl Expected {
    /// The check of one file of a repository.
    pub(super) fn of<'a>(&'a self, page: String, revision: &'a str, file: &'a str) -> Check<'a> {
        Check { expected: self, page, revision, file }
    }
}

/// The check of one file of a repository.
pub(super) struct Check<'a> {
    expected: &'a Expected,
    page: String,
    revision: &'a str,
    file: &'a str,
}

impl Check<'_> {
    /// Checks what the hub announces, before the download.
    pub(super) fn announced(&self, metadata: &Metadata) -> Result<(), HubError> {
        if let (Some(expected), Some(size)) = (self.expected.size, metadata.size)
            && expected != size
        {
            return Err(self.unexpected("size in bytes", expected, size));
        }
        match metadata.hash() {
            Some(Hash::Sha256) => self.sha256(&metadata.etag),
            _ => Ok(()),
        }
    }

    /// Checks a complete download that does not have its final name yet.
    pub(super) fn part(&self, part: &Part) -> Result<(), HubError> {
        match self.expected.sha256 {
            Some(_) => self.sha256(&part.hash(Hash::Sha256)?),
            None => Ok(()),
        }
    }

    /// The expected size in bytes, if it is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.expected.size
    }

    /// Whether the hub must be asked about a file of the cache.
    pub(super) fn needs_hub(&self) -> bool {
        self.expected.hash_of_hub
    }

    /// Checks a file of the cache.
    pub(super) fn file(&self, path: &Path) -> Result<(), HubError> {
        let unreadable = |source| HubError::Cache { path: path.to_owned(), source };
        if let Some(expected) = self.expected.size {
            let found = fs::metadata(path).map_err(unreadable)?.len();
            if found != expected {
                return Err(deletable(self.unexpected("size in bytes", expected, found), path));
            }
        }
        if self.expected.sha256.is_none() {
            return Ok(());
        }
        let found = sha256(path).map_err(unreadable)?;
        self.sha256(&found).map_err(|error| deletable(error, path))
    }

    /// Checks a file of the cache against the hash that the hub states, if that is required.
    pub(super) fn of_hub(&self, path: &Path, metadata: &Metadata) -> Result<(), HubError> {
        let Some(hash) = metadata.hash().filter(|_| self.needs_hub()) else { return Ok(()) };
        let unreadable = |source| HubError::Cache { path: path.to_owned(), source };
        let found = hash_of(path, hash).map_err(unreadable)?;
        match found.eq_ignore_ascii_case(&metadata.etag) {
            true => Ok(()),
            false => Err(deletable(self.unexpected("hash", &metadata.etag, found), path)),
        }
    }

    fn sha256(&self, found: &str) -> Result<(), HubError> {
        match &self.expected.sha256 {
            Some(expected) if !found.eq_ignore_ascii_case(expected) => {
                Err(self.unexpected("SHA-256", expected, found))
            }
            _ => Ok(()),
        }
    }

    fn unexpected(&self, what: &str, expected: impl Display, found: impl Display) -> HubError {
        HubError::Unexpected {
            page: self.page.clone(),
            revision: self.revision.to_owned(),
            file: self.file.to_owned(),
            difference: format!("its {what} is {found} instead of {expected}"),
        }
    }
}

/// Says how to get rid of a file of the cache. A link of the cache leads to the file.
fn deletable(error: HubError, path: &Path) -> HubError {
    match error {
        HubError::Unexpected { page, revision, file, difference } => {
            let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let difference = format!("{difference} (delete {} to download it again)", path.display());
            HubError::Unexpected { page, revision, file, difference }
        }
        error => error,
    }
}

/// The SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    hash_of(path, Hash::Sha256)
}

fn hash_of(path: &Path, kind: Hash) -> io::Result<String> {
    let file = File::open(path)?;
    hash(&file, file.metadata()?.len(), kind)
}
