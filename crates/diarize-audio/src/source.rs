//! Where the bytes of a recording come from.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use symphonia::core::io::{MediaSource, ReadOnlySource};
use tempfile::SpooledTempFile;

use crate::Error;

/// Bytes kept in memory while a pipe's format is being recognized; more go to a temporary file.
const KEPT_IN_MEMORY: usize = 1 << 20;

/// The bytes of a recording.
pub(crate) enum Source {
    /// Can be read more than once.
    File(File),
    /// Can be read once.
    Pipe(Pipe),
}

impl Source {
    /// Opens a file or a pipe.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Missing,
            _ => Error::Io(error),
        })?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(Error::Directory);
        }
        if !metadata.is_file() {
            return Ok(Self::pipe(file));
        }
        if metadata.len() == 0 {
            return Err(Error::Empty);
        }
        Ok(Self::File(file))
    }

    /// A stream.
    pub(crate) fn pipe(reader: impl Read + Send + 'static) -> Self {
        let state =
            State { reader: Box::new(reader), kept: Some(SpooledTempFile::new(KEPT_IN_MEMORY)), read: 0 };
        Self::Pipe(Pipe(Arc::new(Mutex::new(state))))
    }
}

/// A file from its first byte on.
pub(crate) fn seekable(file: &File) -> io::Result<Box<dyn MediaSource>> {
    Ok(Box::new(rewound(file)?))
}

/// A file from its first byte on, in that order only: readers that would look for more at its end do not.
pub(crate) fn forward_only(file: &File) -> io::Result<Box<dyn MediaSource>> {
    Ok(Box::new(ReadOnlySource::new(rewound(file)?)))
}

fn rewound(file: &File) -> io::Result<File> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    Ok(file)
}

/// A stream whose beginning is kept until its format is known. Clones read the same stream.
#[derive(Clone)]
pub(crate) struct Pipe(Arc<Mutex<State>>);

struct State {
    reader: Box<dyn Read + Send>,
    /// All that was read, as long as it may be needed again.
    kept: Option<SpooledTempFile>,
    read: u64,
}

impl Pipe {
    /// Forgets what was read: it is not needed again.
    pub(crate) fn forget(&self) {
        self.with(|state| state.kept = None);
    }

    /// Whether nothing could be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.with(|state| state.read == 0)
    }

    /// Copies what was read and all that follows to a temporary file.
    pub(crate) fn into_file(self) -> Result<File, Error> {
        self.with(|state| {
            let kept = state.kept.take();
            let mut file = kept.map_or_else(tempfile::tempfile, SpooledTempFile::into_file)?;
            io::copy(&mut state.reader, &mut file)?;
            file.rewind()?;
            Ok(file)
        })
        .map_err(Error::Copy)
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(|state| {
            let count = loop {
                match state.reader.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => break result?,
                }
            };
            if let Some(kept) = &mut state.kept {
                kept.write_all(&buffer[..count])?;
            }
            state.read += count as u64;
            Ok(count)
        })
    }
}

impl Seek for Pipe {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl MediaSource for Pipe {
    fn is_seekable(&self) -> bool {
        false
    }

    fn byte_len(&self) -> Option<u64> {
        None
    }
}
