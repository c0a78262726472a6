//! A file on its way into the cache.

use std::{
    fs::{self, File},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::HubError;

/// A file on its way into the cache, under a name that says that it is not whole.
pub(super) struct Part {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Part {
    /// Opens what is there of the file, else an empty one.
    pub(super) fn open(path: PathBuf) -> Result<Self, HubError> {
        let opened = File::options().read(true).append(true).create(true).open(&path);
        match opened.and_then(|file| Ok((file.metadata()?.len(), file))) {
            Ok((length, file)) => Ok(Self { path, file, length }),
            Err(source) => Err(HubError::Cache { path, source }),
        }
    }

    /// Number of bytes that are there.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Adds bytes to the end.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), HubError> {
        self.file.write_all(bytes).map_err(|source| self.broken(source))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Throws away what is there.
    pub(super) fn clear(&mut self) -> Result<(), HubError> {
        self.file.set_len(0).map_err(|source| self.broken(source))?;
        self.length = 0;
        Ok(())
    }

    /// The hash of what is there, in hexadecimal.
    pub(super) fn sha256(&self) -> Result<String, HubError> {
        self.hash().map_err(|source| self.broken(source))
    }

    fn hash(&self) -> io::Result<String> {
        let mut file = &self.file;
        file.rewind()?;
        let mut hasher = Sha256::new();
        io::copy(&mut file, &mut hasher)?;
        Ok(format!("{:x}", hasher.finalize()))
    }

    /// Gives the file its final name. Its bytes are on the disk before its name is.
    pub(super) fn finish(self, name: &Path) -> Result<(), HubError> {
        let finished = self.file.sync_all().and_then(|()| fs::rename(&self.path, name));
        finished.map_err(|source| self.broken(source))
    }

    fn broken(&self, source: io::Error) -> HubError {
        HubError::Cache { path: self.path.clone(), source }
    }
}
