//! Sources of a recording's bytes.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use symphonia::core::io::MediaSource;
use tempfile::SpooledTempFile;

use crate::Error;

/// Bytes kept in memory until a pipe's format is recognized; more are kept in a temporary file.
const KEPT_IN_MEMORY: usize = 1 << 20;

/// Source of a recording's bytes.
pub(crate) enum Source {
    /// A file, which can be read more than once.
    File(File),
    /// A pipe, whose start can be read more than once.
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
        let kept = SpooledTempFile::new(KEPT_IN_MEMORY);
        let state = State { reader: Box::new(reader), kept: Some(kept), is_keeping: true, read: 0 };
        Self::Pipe(Pipe { state: Arc::new(Mutex::new(state)), position: 0 })
    }

    /// A reader from the start.
    pub(crate) fn reader(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::File(file) => Box::new(io::BufReader::new(rewound(file)?)),
            Self::Pipe(pipe) => Box::new(pipe.rewound()),
        })
    }

    /// The file. A pipe is copied to a temporary file.
    pub(crate) fn into_file(self) -> Result<File, Error> {
        match self {
            Self::File(file) => Ok(file),
            Self::Pipe(pipe) => pipe.into_file().map_err(Error::Copy),
        }
    }
}

/// A part of a source.
pub(crate) struct Part<R> {
    inner: R,
    start: u64,
    /// Length in bytes; `None` if it extends to the end of the source.
    len: Option<u64>,
    position: u64,
    /// The same as `position`, for others to see.
    progress: Arc<AtomicU64>,
    is_seekable: bool,
}

impl Part<File> {
    /// The part of a file that starts at `start`. If it is seekable, Symphonia's readers look for data at the end first, and fail
    /// if the file is truncated.
    pub(crate) fn of_file(file: &File, start: u64, len: Option<u64>, is_seekable: bool) -> io::Result<Self> {
        let mut inner = file.try_clone()?;
        let end = inner.metadata()?.len().saturating_sub(start);
        inner.seek(SeekFrom::Start(start))?;
        let len = Some(len.map_or(end, |len| len.min(end)));
        Ok(Self { inner, start, len, position: 0, progress: Arc::default(), is_seekable })
    }
}

impl<R> Part<R> {
    /// The position of the reader, while it is used and afterwards.
    pub(crate) fn progress(&self) -> Arc<AtomicU64> {
        self.progress.clone()
    }
}

impl Part<Pipe> {
    /// The part of a pipe that starts at `start`.
    pub(crate) fn of_pipe(pipe: &Pipe, start: u64, len: Option<u64>) -> io::Result<Self> {
        let mut inner = pipe.rewound();
        io::copy(&mut inner.by_ref().take(start), &mut io::sink())?;
        Ok(Self { inner, start, len, position: 0, progress: Arc::default(), is_seekable: false })
    }
}

impl<R: Read> Read for Part<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.len.map_or(u64::MAX, |len| len.saturating_sub(self.position));
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = retried(&mut self.inner, &mut buffer[..wanted])?;
        self.position += count as u64;
        self.progress.store(self.position, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: Seek> Seek for Part<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.len.and_then(|len| len.checked_add_signed(by)),
        };
        let target = target.ok_or(io::ErrorKind::InvalidInput)?;
        self.inner.seek(SeekFrom::Start(self.start.saturating_add(target)))?;
        self.position = target;
        Ok(target)
    }
}

impl<R: Read + Seek + Send + Sync> MediaSource for Part<R> {
    fn is_seekable(&self) -> bool {
        self.is_seekable
    }

    fn byte_len(&self) -> Option<u64> {
        self.len.filter(|_| self.is_seekable)
    }
}

/// A stream whose start is kept until its format is known. Clones share the stream, but not the position.
#[derive(Clone)]
pub(crate) struct Pipe {
    state: Arc<Mutex<State>>,
    position: u64,
}

struct State {
    reader: Box<dyn Read + Send>,
    /// All bytes read so far, as long as they may be needed again.
    kept: Option<SpooledTempFile>,
    is_keeping: bool,
    read: u64,
}

impl Pipe {
    /// The same stream at its start.
    fn rewound(&self) -> Self {
        Self { state: self.state.clone(), position: 0 }
    }

    /// Stops keeping bytes: what was read so far can be read once more, the rest only once.
    pub(crate) fn stop_keeping(&self) {
        self.state().is_keeping = false;
    }

    fn into_file(self) -> io::Result<File> {
        let mut guard = self.state();
        let state = &mut *guard;
        let kept = state.kept.take();
        let mut file = kept.map_or_else(tempfile::tempfile, SpooledTempFile::into_file)?;
        file.seek(SeekFrom::End(0))?;
        io::copy(&mut state.reader, &mut file)?;
        file.rewind()?;
        Ok(file)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = guard.read_at(self.position, buffer)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl State {
    fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if position < self.read {
            let kept = self.kept.as_mut().ok_or(io::ErrorKind::Unsupported)?;
            kept.seek(SeekFrom::Start(position))?;
            return kept.read(buffer);
        }
        if !self.is_keeping {
            self.kept = None;
        }
        let count = retried(&mut self.reader, buffer)?;
        if let Some(kept) = &mut self.kept {
            kept.seek(SeekFrom::End(0))?;
            kept.write_all(&buffer[..count])?;
        }
        self.read += count as u64;
        Ok(count)
    }
}

impl Seek for Pipe {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn rewound(file: &File) -> io::Result<File> {
    let mut file = file.try_clone()?;
    file.rewind()?;
    Ok(file)
}

/// Reads, and retries if a signal interrupts it.
fn retried(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
