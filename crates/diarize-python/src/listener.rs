//! Recordings that arrive in blocks.

use std::{
    collections::BTreeMap,
    process,
    sync::{Mutex, MutexGuard, PoisonError},
};

use diarize_audio::{Converter, Settings};
use diarize_cli::pipelines::Pipeline;
use numpy::PyUntypedArray;
use pyo3::prelude::*;

use crate::{
    array::{self, Shape},
    attendant::Attendant,
    exit::Running,
    failure::Failure,
    model::{Model, hear},
    options::Options,
    results::Found,
    source::Heard,
    threads,
};

/// Diarizes a recording as it arrives. Each call takes the hook, so that the listener does not keep it: a hook can refer to the
/// listener, and Python's garbage collector would not see the cycle.
#[pyclass(frozen, module = "diarize_rs._native")]
pub struct Listener {
    state: Mutex<State>,
    attendant: Attendant,
    /// The process that started it. A forked process does not have the threads that may hold its locks.
    process: u32,
}

struct State {
    /// `None` after the end.
    recording: Option<Recording>,
    /// Seconds of audio received.
    seconds: f64,
}

struct Recording {
    listener: diarize::Listener<'static>,
    /// Counts as busy until the recording ends.
    _pipeline: Pipeline,
    converter: Converter,
}

#[pymethods]
impl Listener {
    #[new]
    #[pyo3(signature = (model, options, rate))]
    fn new(model: &Model, options: &Options, rate: u32) -> PyResult<Self> {
        model.check_process()?;
        let attendant = Attendant::new(None);
        let pipeline = model.pipelines.for_recording();
        let listener = pipeline.diarizer.listen_with(&options.inner, attendant.observer());
        let converter = Converter::new(rate, &Settings::default());
        let converter = converter.map_err(|error| Failure::Audio("the samples".to_owned(), error))?;
        let recording =
            Recording { listener: listener.map_err(Failure::from)?, _pipeline: pipeline, converter };
        let state = Mutex::new(State { recording: Some(recording), seconds: 0.0 });
        Ok(Self { state, attendant, process: process::id() })
    }

    /// Takes the next samples `(channel, sample)` or `(sample,)`.
    #[pyo3(signature = (array, hook))]
    fn push(
        &self,
        py: Python<'_>,
        array: &Bound<'_, PyUntypedArray>,
        hook: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let array = &array::aligned(array)?;
        let shape = Shape::of(array)?;
        let planes = array::planes(array, shape, 0, shape.samples)?;
        self.work(py, hook, |state| {
            let open = state.recording.as_mut().ok_or_else(ended)?;
            let mut block = Vec::new();
            open.converter.push(planes, &mut block).map_err(failed)?;
            threads::run(|| Ok(open.listener.push(&block)?))?;
            state.seconds = open.converter.seconds();
            Ok(())
        })
    }

    /// Seconds of audio received.
    #[getter]
    fn seconds(&self, py: Python<'_>) -> PyResult<f64> {
        self.check_process()?;
        let _running = Running::begin()?;
        Ok(py.detach(|| self.lock().seconds))
    }

    /// The result as if the recording ended here.
    #[pyo3(signature = (hook))]
    fn provisional(&self, py: Python<'_>, hook: Option<Py<PyAny>>) -> PyResult<Found> {
        let (diarization, duration) = self.work(py, hook, |state| {
            let Recording { listener, .. } = state.recording.as_ref().ok_or_else(ended)?;
            let diarization = threads::run(|| Ok(listener.provisional()?))?;
            Ok((diarization, state.seconds))
        })?;
        let heard = Heard { duration, warnings: Vec::new() };
        Ok(Found::new(py, diarization, heard, BTreeMap::new()))
    }

    /// Ends the recording and returns the result.
    #[pyo3(signature = (hook))]
    fn finish(&self, py: Python<'_>, hook: Option<Py<PyAny>>) -> PyResult<Found> {
        let (diarization, heard) = self.work(py, hook, |state| {
            let Recording { mut listener, converter, _pipeline } =
                state.recording.take().ok_or_else(ended)?;
            let mut block = Vec::new();
            let warnings = converter.finish(&mut block).map_err(failed)?;
            let diarization = threads::run(|| {
                listener.push(&block)?;
                Ok(listener.finish()?)
            })?;
            let warnings = warnings.iter().map(ToString::to_string).collect();
            Ok((diarization, Heard { duration: state.seconds, warnings }))
        })?;
        Ok(Found::new(py, diarization, heard, BTreeMap::new()).complete())
    }
}

impl Listener {
    /// Runs a call. If it fails, it ends the recording, because samples may be missing.
    fn work<T: Send>(
        &self,
        py: Python<'_>,
        hook: Option<Py<PyAny>>,
        work: impl FnOnce(&mut State) -> Result<T, Failure> + Send,
    ) -> PyResult<T> {
        self.check_process()?;
        self.attendant.check_caller()?;
        let _running = Running::begin()?;
        let result = self.attendant.run(py, &mut hear(hook.as_ref()), || work(&mut self.lock()));
        if result.is_err() {
            py.detach(|| self.lock().recording = None);
        }
        result
    }

    fn check_process(&self) -> Result<(), Failure> {
        if self.process == process::id() {
            return Ok(());
        }
        let sentence = "a listener cannot be used in a process that was forked: start another listener in it";
        Err(Failure::Other("Error", sentence.to_owned()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended() -> Failure {
    Failure::Other("ListenerEndedError", "the recording has ended: start another listener".to_owned())
}

fn failed(error: diarize_audio::Error) -> Failure {
    Failure::Audio("the samples".to_owned(), error)
}
