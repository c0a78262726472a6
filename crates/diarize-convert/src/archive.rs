//! Zip archives, read with bounds: PyTorch's checkpoints and NumPy's `.npz` files are such.
//!
//! Source: APPNOTE.TXT of the ZIP format; Fifield, A better zip bomb, 2019 (overlapping entries).

use std::io::{Cursor, Read};

use zip::{ZipArchive, result::ZipError};

/// Entries that an archive may have. A checkpoint has one for each tensor.
const MAX_ENTRIES: usize = 65_536;

/// What an archive may grow to: this many times its own size, and a little for tiny ones.
const MAX_EXPANSION: u64 = 32;
const SMALL: u64 = 1 << 20;

/// Why an archive is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveProblem {
    /// It is not whole, or not a zip archive at all.
    #[error("not a whole zip archive: {0}")]
    Broken(#[from] ZipError),
    /// An entry cannot be unpacked, or is not what its checksum says.
    #[error("its entry `{entry}` cannot be unpacked: {source}")]
    Entry {
        /// The entry's name.
        entry: String,
        /// What the reader said.
        source: std::io::Error,
    },
    /// It has very many entries.
    #[error("it has {0} entries, more than {MAX_ENTRIES}")]
    Entries(usize),
    /// Entries share bytes, as only forged archives have it.
    #[error("its entries overlap")]
    Overlap,
    /// Two entries have one name: readers would disagree on which counts.
    #[error("two of its entries have one name")]
    SameName,
    /// An entry is needed and not there.
    #[error("it has no entry `{0}`")]
    Missing(String),
    /// Unpacked it would be very much larger than it is.
    #[error("its entry `{entry}` grows beyond the {limit} bytes that are allowed in all")]
    Bomb {
        /// The entry's name.
        entry: String,
        /// Bytes allowed for the whole archive.
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
    /// Whether bytes begin like an archive.
    pub(crate) fn is_one(bytes: &[u8]) -> bool {
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

    /// Names of the entries, in the archive's order.
    pub(crate) fn names(&self) -> Vec<String> {
        (0..self.zip.len()).filter_map(|index| self.zip.name_for_index(index)?.ok().map(Into::into)).collect()
    }

    /// The name of the only entry that ends like this.
    pub(crate) fn ending(&self, suffix: &str) -> Option<String> {
        let mut names = self.names().into_iter().filter(|name| name.ends_with(suffix));
        names.next().filter(|_| names.next().is_none())
    }

    /// The content of an entry. What its header says of its size is not believed.
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
