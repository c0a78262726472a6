//! What a file must be, where that is known before its download.

use std::{fmt::Display, fs::File, io, path::Path};

use sha2::{Digest, Sha256};

use super::{
    HubError,
    metadata::{Hash, Metadata},
    part::Part,
};

/// The known properties of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Size in bytes.
    pub(crate) size: Option<u64>,
    /// SHA-256 of the content, in hexadecimal.
    pub(crate) sha256: Option<String>,
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

    /// Checks a file of the cache.
    pub(super) fn file(&self, path: &Path) -> Result<(), HubError> {
        if self.expected.sha256.is_none() {
            return Ok(());
        }
        let unreadable = |source| HubError::Cache { path: path.to_owned(), source };
        let found = sha256(path).map_err(unreadable)?;
        self.sha256(&found).map_err(|error| match error {
            // A link of the cache leads to the file.
            HubError::Unexpected { page, revision, file, difference } => {
                let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
                let difference = format!("{difference} (delete {} to download it again)", path.display());
                HubError::Unexpected { page, revision, file, difference }
            }
            error => error,
        })
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

/// The SHA-256 of a file, in hexadecimal.
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
