//! Where the bytes of a file come from.

use std::{
    fs::File,
    io::{self, Cursor, Read, Seek},
    path::Path,
    sync::Arc,
};

use symphonia::core::io::{MediaSource, ReadOnlySource};

use super::Error;

/// The bytes of a file, which can be read more than once.
pub(super) enum Source {
    File(File),
    Memory(Arc<[u8]>),
}

impl Source {
    /// Opens a file; a pipe is read to memory, because some containers need to seek.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Missing,
            _ => Error::Io(error),
        })?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(Error::Directory);
        }
        if !metadata.is_file() {
            return Self::in_memory(file);
        }
        if metadata.len() == 0 {
            return Err(Error::Empty);
        }
        Ok(Self::File(file))
    }

    /// Reads the standard input to memory.
    pub(super) fn stdin() -> Result<Self, Error> {
        Self::in_memory(io::stdin().lock())
    }

    /// The bytes from the first one on.
    pub(super) fn seekable(&self) -> io::Result<Box<dyn MediaSource>> {
        Ok(match self {
            Self::File(file) => Box::new(rewound(file)?),
            Self::Memory(bytes) => Box::new(Cursor::new(bytes.clone())),
        })
    }

    /// The bytes from the first one on, in that order only: readers that would look for more at the
    /// end do not.
    pub(super) fn forward_only(&self) -> io::Result<Box<dyn MediaSource>> {
        Ok(match self {
            Self::File(file) => Box::new(ReadOnlySource::new(rewound(file)?)),
            Self::Memory(bytes) => Box::new(ReadOnlySource::new(Cursor::new(bytes.clone()))),
        })
    }

    fn in_memory(mut reader: impl Read) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Err(Error::Empty);
        }
        Ok(Self::Memory(bytes.into()))
    }
}

fn rewound(file: &File) -> io::Result<File> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    Ok(file)
}
