//! Sources of a recording's bytes.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use symphonia::core::io::{MediaSource, ReadOnlySource};
use tempfile::SpooledTempFile;

use crate::Error;

/// Bytes kept in memory until a pipe's format is recognized; more are kept in a temporary file.
const KEPT_IN_MEMORY: usize = 1 << 20;

/// Source of a recording's bytes.
pub(crate) enum Source {
    /// A file, which can be read more than once.
    File(File),
    /// A pipe, which can be read only once.
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

    /// A source that reads from a stream.
    pub(crate) fn pipe(reader: impl Read + Send + 'static) -> Self {
        let state =
            State { reader: Box::new(reader), kept: Some(SpooledTempFile::new(KEPT_IN_MEMORY)), read: 0 };
        Self::Pipe(Pipe(Arc::new(Mutex::new(state))))
    }
}

/// Reads a file from its start, with seeking.
pub(crate) fn seekable(file: &File) -> io::Result<Box<dyn MediaSource>> {
    Ok(Box::new(rewound(file)?))
}

/// Reads a file from its start without seeking, so that readers do not look for data at the end.
pub(crate) fn forward_only(file: &File) -> io::Result<Box<dyn MediaSource>> {
    Ok(Box::new(ReadOnlySource::new(rewound(file)?)))
}

fn rewound(file: &File) -> io::Result<File> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    Ok(file)
}

/// A stream whose start is kept until its format is known. Clones share the stream.
#[derive(Clone)]
pub(crate) struct Pipe(Arc<Mutex<State>>);

struct State {
    reader: Box<dyn Read + Send>,
    /// All bytes read so far, as long as they may be needed again.
    kept: Option<SpooledTempFile>,
    read: u64,
}

impl Pipe {
    /// Drops the kept bytes, which are no longer needed.
    pub(crate) fn forget(&self) {
        self.with(|state| state.kept = None);
    }

    /// Whether the stream had no bytes.
    pub(crate) fn is_empty(&self) -> bool {
        self.with(|state| state.read == 0)
    }

    /// Copies the kept bytes and the rest of the stream to a temporary file.
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
