//! Bounded reading of zip archives, the container of PyTorch checkpoints and NumPy's `.npz` files.
//!
//! Source: APPNOTE.TXT of the ZIP format; Fifield, A better zip bomb, 2019 (overlapping entries).

use std::io::{Cursor, Read};

use zip::{ZipArchive, result::ZipError};

/// Maximum number of entries in an archive. A checkpoint has one entry for each tensor.
const MAX_ENTRIES: usize = 65_536;

/// Maximum ratio of an archive's unpacked size to its own size, beyond [`SMALL`] bytes.
const MAX_EXPANSION: u64 = 32;
const SMALL: u64 = 1 << 20;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveProblem {
    /// The archive is truncated, corrupt or not a zip archive.
    #[error("not a valid zip archive: {0}")]
    Broken(#[from] ZipError),
    /// An entry cannot be unpacked, or its checksum is wrong.
    #[error("the entry `{entry}` cannot be unpacked: {source}")]
    Entry {
        /// The entry's name.
        entry: String,
        /// The underlying error.
        source: std::io::Error,
    },
    /// The archive has too many entries.
    #[error("the archive has {0} entries; at most {MAX_ENTRIES} are allowed")]
    Entries(usize),
    /// Entries share bytes, which only happens in forged archives.
    #[error("the archive's entries overlap")]
    Overlap,
    /// Two entries have the same name, so readers could disagree about the content.
    #[error("two entries of the archive have the same name")]
    SameName,
    /// A required entry is missing.
    #[error("the archive has no entry `{0}`")]
    Missing(String),
    /// The unpacked content would be far larger than the archive.
    #[error("unpacking the entry `{entry}` exceeds the limit of {limit} bytes for an archive of this size")]
    Bomb {
        /// The entry's name.
        entry: String,
        /// Maximum number of unpacked bytes for the whole archive.
        limit: u64,
    },
}

/// An archive in memory.
pub(crate) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    limit: u64,
    unpacked: u64,
}

impl<'a> Archive<'a> {
    /// Whether `bytes` start like a zip archive.
    pub(crate) fn detect(bytes: &[u8]) -> bool {
        bytes.starts_with(b"PK\x03\x04")
    }

    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, ArchiveProblem> {
        let mut zip = ZipArchive::new(Cursor::new(bytes))?;
        if zip.len() > MAX_ENTRIES {
            return Err(ArchiveProblem::Entries(zip.len()));
        }
        if zip.has_overlapping_entries()? {
            return Err(ArchiveProblem::Overlap);
        }
        if zip.has_duplicate_names() {
            return Err(ArchiveProblem::SameName);
        }
        Ok(Self { zip, limit: bytes.len() as u64 * MAX_EXPANSION + SMALL, unpacked: 0 })
    }

    /// The names of the entries, in the archive's order.
    pub(crate) fn names(&self) -> Vec<String> {
        (0..self.zip.len()).filter_map(|index| self.zip.name_for_index(index)?.ok().map(Into::into)).collect()
    }

    /// The name of the entry that ends with `suffix`, if there is exactly one.
    pub(crate) fn unique_name(&self, suffix: &str) -> Option<String> {
        let mut names = self.names().into_iter().filter(|name| name.ends_with(suffix));
        names.next().filter(|_| names.next().is_none())
    }

    /// The content of an entry. The size stated in its header is not trusted.
    pub(crate) fn read(&mut self, name: &str) -> Result<Vec<u8>, ArchiveProblem> {
        let mut entry = self.zip.by_name(name).map_err(|error| match error {
            ZipError::FileNotFound => ArchiveProblem::Missing(name.to_owned()),
            error => error.into(),
        })?;
        let left = self.limit - self.unpacked;
        let mut content = Vec::new();
        let read = entry.by_ref().take(left + 1).read_to_end(&mut content);
        read.map_err(|source| ArchiveProblem::Entry { entry: name.to_owned(), source })?;
        if content.len() as u64 > left {
            return Err(ArchiveProblem::Bomb { entry: name.to_owned(), limit: self.limit });
        }
        self.unpacked += content.len() as u64;
        Ok(content)
    }
}
