//! Unfinished downloads.

use std::{
    fs::{self, File},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{HubError, metadata::Hash};

/// An unfinished download in the cache.
pub(super) struct Part {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Part {
    /// Opens an unfinished download, or creates an empty one.
    pub(super) fn open(path: PathBuf) -> Result<Self, HubError> {
        let opened = File::options().read(true).append(true).create(true).open(&path);
        match opened.and_then(|file| Ok((file.metadata()?.len(), file))) {
            Ok((length, file)) => Ok(Self { path, file, length }),
            Err(source) => Err(HubError::Cache { path, source }),
        }
    }

    /// Number of bytes downloaded so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file.write_all(bytes).map_err(|source| self.broken(source))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Discards all bytes.
    pub(super) fn clear(&mut self) -> Result<(), HubError> {
        self.file.set_len(0).map_err(|source| self.broken(source))?;
        self.length = 0;
        Ok(())
    }

    /// Removes the file.
    pub(super) fn discard(self) -> Result<(), HubError> {
        fs::remove_file(&self.path).map_err(|source| self.broken(source))
    }

    /// The hash of the bytes so far, in hexadecimal.
    pub(super) fn hash(&self, hash: Hash) -> Result<String, HubError> {
        self::hash(&self.file, self.length, hash).map_err(|source| self.broken(source))
    }

    /// Moves the file to its final name, after its content has been flushed to disk.
    pub(super) fn finish(self, name: &Path) -> Result<(), HubError> {
        let finished = self.file.sync_all().and_then(|()| fs::rename(&self.path, name));
        finished.map_err(|source| self.broken(source))
    }

    fn broken(&self, source: io::Error) -> HubError {
        HubError::Cache { path: self.path.clone(), source }
    }
}

/// The hash of a file of this length, in hexadecimal.
pub(super) fn hash(file: &File, length: u64, kind: Hash) -> io::Result<String> {
    match kind {
        Hash::Sha256 => digest(file, Sha256::new()),
        Hash::Git => digest(file, Sha1::new_with_prefix(format!("blob {length}\0"))),
    }
}

fn digest<D: Digest + io::Write>(mut file: &File, mut hasher: D) -> io::Result<String> {
    file.rewind()?;
    io::copy(&mut file, &mut hasher)?;
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
