//! Recordings as Python names them, read block by block.

use std::{
    io::{self, Cursor, Read},
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use diarize_audio::{Audio, Channels, Converter, Decoding, Settings};
use numpy::{IntoPyArray, PyArray2, PyArrayMethods, PyUntypedArray};
use pyo3::{prelude::*, pybacked::PyBackedBytes};

use crate::{
    array::{self, Shape},
    attendant::{Attendant, Stop},
    failure::Failure,
    model::hear,
};

/// Seconds of an array that are copied at once.
const COPIED: usize = 16;

/// A recording: a file, bytes, a file object or an array.
#[pyclass(frozen, module = "diarize_rs._native")]
pub struct Source {
    input: Input,
    /// The name of the recording, for error messages.
    name: String,
    settings: Settings,
}

enum Input {
    Path(PathBuf),
    Bytes(Arc<PyBackedBytes>),
    File(Py<PyAny>),
    /// A file object that is read several times, and what it returned.
    Kept(Py<PyAny>, OnceLock<Arc<[u8]>>),
    Samples {
        array: Py<PyUntypedArray>,
        shape: Shape,
        rate: u32,
    },
}

/// What is known about a recording after reading it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Its length in seconds.
    pub duration: f64,
    /// Problems found in it.
    pub warnings: Vec<String>,
}

#[pymethods]
impl Source {
    /// A file.
    #[staticmethod]
    #[pyo3(signature = (path, name, channel, keep_damaged))]
    fn path(path: PathBuf, name: String, channel: Option<usize>, keep_damaged: bool) -> Self {
        Self::new(Input::Path(path), name, channel, keep_damaged)
    }

    /// The content of a file.
    #[staticmethod]
    #[pyo3(signature = (content, name, channel, keep_damaged))]
    fn bytes(content: PyBackedBytes, name: String, channel: Option<usize>, keep_damaged: bool) -> Self {
        Self::new(Input::Bytes(Arc::new(content)), name, channel, keep_damaged)
    }

    /// An object with `read(size)`, which returns bytes. They are kept if the recording is needed `twice`.
    #[staticmethod]
    #[pyo3(signature = (file, name, channel, keep_damaged, twice))]
    fn file(file: Py<PyAny>, name: String, channel: Option<usize>, keep_damaged: bool, twice: bool) -> Self {
        let input = if twice { Input::Kept(file, OnceLock::new()) } else { Input::File(file) };
        Self::new(input, name, channel, keep_damaged)
    }

    /// An array `(channel, sample)` or `(sample,)` at `rate` hertz.
    #[staticmethod]
    #[pyo3(signature = (array, rate, name, channel))]
    fn samples(
        array: &Bound<'_, PyUntypedArray>,
        rate: u32,
        name: String,
        channel: Option<usize>,
    ) -> PyResult<Self> {
        let array = &array::aligned(array)?;
        let shape = Shape::of(array)?;
        array::planes(array, shape, 0, 0)?; // checks the type
        let input = Input::Samples { array: array.clone().unbind(), shape, rate };
        Ok(Self::new(input, name, channel, false))
    }

    /// All samples `(channel, sample)`, one channel at 16 kHz, and problems with the audio.
    fn decode_all<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyArray2<f32>>, Vec<String>)> {
        let attendant = Attendant::new(None);
        let (samples, heard) = attendant.run(py, &mut hear(None), || {
            let mut samples = Vec::new();
            let heard = self.read(&attendant, |_, block| {
                samples.extend_from_slice(block);
                Ok(())
            })?;
            Ok((samples, heard))
        })?;
        let shape = (1, samples.len());
        Ok((samples.into_pyarray(py).reshape(shape)?, heard.warnings))
    }
}

impl Source {
    fn new(input: Input, name: String, channel: Option<usize>, keep_damaged: bool) -> Self {
        let channels = channel.map_or(Channels::Mean, Channels::Only);
        let settings = Settings::default().with_channels(channels).with_keep_damaged(keep_damaged);
        Self { input, name, settings }
    }

    /// Reads the recording and hands each block of mono samples at 16 kHz to `take`, which first gets the expected duration in
    /// seconds. Must run without Python's lock. The attendant can cancel it.
    pub fn read(
        &self,
        attendant: &Attendant,
        mut take: impl FnMut(f64, &[f32]) -> Result<(), Failure>,
    ) -> Result<Heard, Failure> {
        let take = |expected: f64, block: &[f32]| {
            attendant.check()?;
            take(expected, block)
        };
        match &self.input {
            Input::Samples { array, shape, rate } => self.read_array(array, *shape, *rate, take),
            Input::Path(path) => self.decode(Audio::open(path, &self.settings), take),
            Input::Bytes(content) => {
                let reader = Cursor::new(Shared(content.clone()));
                self.decode(Audio::from_reader(reader, &self.settings), take)
            }
            Input::File(file) => {
                let (reader, stopped) = FileObject::new(file, &self.name, attendant);
                let heard = self.decode(Audio::from_reader(reader, &self.settings), take);
                stopped.take().map_or(heard, Err)
            }
            Input::Kept(file, kept) => {
                let content = match kept.get() {
                    Some(content) => content,
                    None => {
                        let content = FileObject::content(file, &self.name, attendant)?;
                        kept.get_or_init(|| content)
                    }
                };
                self.decode(Audio::from_reader(Cursor::new(content.clone()), &self.settings), take)
            }
        }
    }

    /// Decodes on a thread of its own, some blocks ahead.
    fn decode(
        &self,
        audio: Result<Audio, diarize_audio::Error>,
        mut take: impl FnMut(f64, &[f32]) -> Result<(), Failure>,
    ) -> Result<Heard, Failure> {
        let failed = |error| Failure::Audio(self.name.clone(), error);
        let mut decoding = Decoding::start(audio.map_err(failed)?);
        let expected = decoding.declared_duration().unwrap_or(0.0);
        let taken = decoding.by_ref().try_for_each(|block| take(expected, &block.map_err(failed)?));
        // Afterwards, nothing reads from a file object anymore.
        let audio = decoding.finish();
        taken?;
        let crashed = || Failure::Other("AudioError", format!("{}: the decoder crashed", self.name));
        let audio = audio.ok_or_else(crashed)?;
        let warnings = audio.warnings().iter().map(ToString::to_string).collect();
        Ok(Heard { duration: audio.duration(), warnings })
    }

    /// Converts an array, of which only some seconds are copied at a time.
    fn read_array(
        &self,
        array: &Py<PyUntypedArray>,
        shape: Shape,
        rate: u32,
        mut take: impl FnMut(f64, &[f32]) -> Result<(), Failure>,
    ) -> Result<Heard, Failure> {
        let failed = |error| Failure::Audio(self.name.clone(), error);
        let mut converter = Converter::new(rate, &self.settings).map_err(failed)?;
        let expected = shape.samples as f64 / f64::from(rate);
        let mut block = Vec::new();
        for start in (0..shape.samples).step_by(COPIED * rate as usize) {
            let end = (start + COPIED * rate as usize).min(shape.samples);
            let planes = Python::attach(|py| array::planes(array.bind(py), shape, start, end))?;
            converter.push(planes, &mut block).map_err(failed)?;
            take(expected, &block)?;
            block.clear();
        }
        let duration = converter.seconds();
        let warnings = converter.finish(&mut block).map_err(failed)?;
        take(expected, &block)?;
        Ok(Heard { duration, warnings: warnings.iter().map(ToString::to_string).collect() })
    }
}

/// Bytes of Python, which are not copied.
struct Shared(Arc<PyBackedBytes>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Reads from an object of Python.
struct FileObject {
    file: Py<PyAny>,
    /// The name of the recording, for error messages.
    name: String,
    cancelled: Stop,
    stopped: Stopped,
}

/// Why a file object could not be read. The thread that waits for the decoder takes it.
#[derive(Clone, Default)]
struct Stopped(Arc<Mutex<Option<Failure>>>);

impl Stopped {
    fn take(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl FileObject {
    fn new(file: &Py<PyAny>, name: &str, attendant: &Attendant) -> (Self, Stopped) {
        let stopped = Stopped::default();
        let file = Python::attach(|py| file.clone_ref(py));
        let (name, cancelled) = (name.to_owned(), attendant.cancelled());
        (Self { file, name, cancelled, stopped: stopped.clone() }, stopped)
    }

    /// Reads the rest of the file.
    fn content(file: &Py<PyAny>, name: &str, attendant: &Attendant) -> Result<Arc<[u8]>, Failure> {
        let (mut reader, stopped) = Self::new(file, name, attendant);
        let mut content = Vec::new();
        let read = reader.read_to_end(&mut content);
        match (stopped.take(), read) {
            (Some(failure), _) => Err(failure),
            (None, Err(error)) => Err(Failure::Other("AudioError", format!("{name}: {error}"))),
            (None, Ok(_)) => Ok(content.into()),
        }
    }

    fn read_python(&self, size: usize) -> Result<PyBackedBytes, Failure> {
        self.cancelled.check()?;
        let wrong = |sentence: String| Failure::Other("AudioError", format!("{}: {sentence}", self.name));
        let content = Python::attach(|py| -> Result<_, Failure> {
            let content = self.file.bind(py).call_method1("read", (size,))?;
            let kind = content.get_type().name()?;
            let not_bytes =
                |_| wrong(format!("read() returned {kind}, not bytes: open the file in binary mode"));
            content.extract::<PyBackedBytes>().map_err(not_bytes)
        })?;
        match content.len() {
            length if length <= size => Ok(content),
            length => Err(wrong(format!("read({size}) returned {length} bytes"))),
        }
    }
}

impl Read for FileObject {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.read_python(buffer.len()) {
            Ok(content) => {
                buffer[..content.len()].copy_from_slice(&content);
                Ok(content.len())
            }
            Err(failure) => {
                *self.stopped.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                Err(io::Error::other("the file object could not be read"))
            }
        }
    }
}
