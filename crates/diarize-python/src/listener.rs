//! Recordings that arrive in blocks.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use diarize_audio::{Converter, Settings};
use diarize_cli::pipelines::Pipeline;
use numpy::PyUntypedArray;
use pyo3::prelude::*;

use crate::{
    array::{self, Shape},
    attendant::Attendant,
    failure::Failure,
    model::{Model, hear},
    options::Options,
    results::Found,
    source::Heard,
    threads,
};

/// Diarizes a recording as it arrives.
#[pyclass(frozen, module = "diarize_rs._native")]
pub struct Listener {
    /// `None` after the end.
    recording: Mutex<Option<Recording>>,
    attendant: Attendant,
    hook: Option<Py<PyAny>>,
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
    #[pyo3(signature = (model, options, rate, hook))]
    fn new(model: &Model, options: &Options, rate: u32, hook: Option<Py<PyAny>>) -> PyResult<Self> {
        model.check_process()?;
        let attendant = Attendant::new();
        let pipeline = model.pipelines.for_recording();
        let listener = pipeline.diarizer.listen_with(&options.inner, attendant.observer());
        let converter = Converter::new(rate, &Settings::default());
        let converter = converter.map_err(|error| Failure::Audio("the samples".to_owned(), error))?;
        let recording =
            Recording { listener: listener.map_err(Failure::from)?, _pipeline: pipeline, converter };
        Ok(Self { recording: Mutex::new(Some(recording)), attendant, hook })
    }

    /// Takes the next samples `(channel, sample)` or `(sample,)`.
    fn push(&self, py: Python<'_>, array: &Bound<'_, PyUntypedArray>) -> PyResult<()> {
        let array = &array::aligned(array)?;
        let shape = Shape::of(array)?;
        let planes = array::planes(array, shape, 0, shape.samples)?;
        self.work(py, |recording| {
            // After an error, the recording is incomplete.
            let mut open = recording.take().ok_or_else(ended)?;
            let mut block = Vec::new();
            open.converter.push(planes, &mut block).map_err(failed)?;
            threads::run(|| Ok(open.listener.push(&block)?))?;
            *recording = Some(open);
            Ok(())
        })
    }

    /// Seconds of audio received.
    #[getter]
    fn seconds(&self, py: Python<'_>) -> f64 {
        py.detach(|| self.lock().as_ref().map_or(0.0, |open| open.converter.seconds()))
    }

    /// The result as if the recording ended here.
    fn provisional(&self, py: Python<'_>) -> PyResult<Found> {
        let (diarization, duration) = self.work(py, |recording| {
            let Recording { listener, converter, .. } = recording.as_ref().ok_or_else(ended)?;
            let diarization = threads::run(|| Ok(listener.provisional()?))?;
            Ok((diarization, converter.seconds()))
        })?;
        let heard = Heard { duration, warnings: Vec::new() };
        Ok(Found::new(py, diarization, heard, BTreeMap::new()))
    }

    /// Ends the recording and returns the result.
    fn finish(&self, py: Python<'_>) -> PyResult<Found> {
        let (diarization, heard) = self.work(py, |recording| {
            let Recording { mut listener, converter, _pipeline } = recording.take().ok_or_else(ended)?;
            let (duration, mut block) = (converter.seconds(), Vec::new());
            let warnings = converter.finish(&mut block).map_err(failed)?;
            let diarization = threads::run(|| {
                listener.push(&block)?;
                Ok(listener.finish()?)
            })?;
            let warnings = warnings.iter().map(ToString::to_string).collect();
            Ok((diarization, Heard { duration, warnings }))
        })?;
        Ok(Found::new(py, diarization, heard, BTreeMap::new()))
    }
}

impl Listener {
    fn work<T: Send>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Option<Recording>) -> Result<T, Failure> + Send,
    ) -> PyResult<T> {
        self.attendant.run(py, &mut hear(self.hook.as_ref()), || work(&mut self.lock()))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Recording>> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ended() -> Failure {
    Failure::Other("ListenerEndedError", "the recording has ended: start another listener".to_owned())
}

fn failed(error: diarize_audio::Error) -> Failure {
    Failure::Audio("the samples".to_owned(), error)
}
