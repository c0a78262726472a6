//! Models and what they do with recordings.

use std::{collections::BTreeMap, path::PathBuf, process};

use diarize::{
    Device, Devices, Diarization, Event, Precision, Span,
    model::{Fingerprint, ModelFiles},
};
use diarize_cli::{
    names,
    pipelines::Pipelines,
    voice_embedder::{Voice, alone, pieces},
};
use diarize_convert::hub;
use pyo3::{prelude::*, types::PyBytes};

use crate::{
    attendant::{Attendant, Stop, abandonable},
    failure::Failure,
    options::Options,
    results::{Found, bytes},
    source::{Heard, Source},
    threads,
    voices::Voices,
};

/// `(span, dimension)`; `None` for a span without an embedding.
pub type Embeddings = Vec<Option<Vec<f32>>>;

/// When people speak, in seconds, and problems with the audio.
#[derive(IntoPyObject)]
pub struct Active {
    spans: Vec<(f64, f64)>,
    warnings: Vec<String>,
}

/// The embedding of each span that has one, as the bytes of f32 `(dimension,)`, and problems with the audio.
#[derive(IntoPyObject)]
pub struct Embedded {
    embeddings: Vec<Option<Py<PyBytes>>>,
    warnings: Vec<String>,
}

/// A model that is loaded on one or several devices.
#[pyclass(frozen, module = "diarize_rs._native")]
pub struct Model {
    pub(crate) pipelines: Pipelines,
    pub(crate) fingerprint: Fingerprint,
    /// The process that loaded it.
    process: u32,
}

#[pymethods]
impl Model {
    /// Loads a model: the bundled one without a name, else a directory, a configuration or a repository of a hub.
    #[new]
    #[pyo3(signature = (name, device, precision, token, cache))]
    fn new(
        py: Python<'_>,
        name: Option<String>,
        device: &str,
        precision: &str,
        token: Option<String>,
        cache: Option<PathBuf>,
    ) -> PyResult<Self> {
        let devices: Devices = device.parse().map_err(Failure::from)?;
        let precision: Precision = precision.parse().map_err(Failure::from)?;
        abandonable(py, move || {
            let files = files(name.as_deref(), token, cache)?;
            let pipelines = threads::run(|| Ok(Pipelines::load(&files, devices, precision)?))?;
            let fingerprint = files.embedding_fingerprint()?;
            Ok(Self { pipelines, fingerprint, process: process::id() })
        })
    }

    /// The model's name.
    #[getter]
    fn name(&self) -> &str {
        &self.pipelines.model().name
    }

    /// The devices: `cpu`, `cuda:N`, `cuda:N,N` or `metal:N`.
    #[getter]
    fn device(&self) -> String {
        self.pipelines.devices().to_string()
    }

    /// How many recordings at once keep the devices busy.
    #[getter]
    fn recordings_at_once(&self) -> usize {
        self.pipelines.devices().recordings_at_once()
    }

    /// Length of an embedding.
    #[getter]
    fn dimension(&self) -> usize {
        self.pipelines.model().embedding.dimension
    }

    /// Fails if the options or the known voices cannot be used.
    #[pyo3(signature = (options, known))]
    fn check(&self, options: &Options, known: Option<(PyRef<'_, Voices>, f64, f64)>) -> PyResult<()> {
        self.pipelines.first().check(&options.inner).map_err(Failure::from)?;
        if let Some((voices, threshold, margin)) = known {
            voices.recognizer(self, threshold, margin)?;
        }
        Ok(())
    }

    /// Diarizes a recording. `known` has the voices that are given their names, and the minimum similarity and lead. `stop` can
    /// cancel it.
    #[pyo3(signature = (source, options, hook, known, stop))]
    fn diarize(
        &self,
        py: Python<'_>,
        source: &Source,
        options: &Options,
        hook: Option<Py<PyAny>>,
        known: Option<(PyRef<'_, Voices>, f64, f64)>,
        stop: Option<Stop>,
    ) -> PyResult<Found> {
        self.check_process()?;
        let known = known
            .map(|(voices, threshold, margin)| voices.recognizer(self, threshold, margin))
            .transpose()?;
        let attendant = Attendant::new(stop);
        let (diarization, heard, similarities) = attendant.run(py, &mut hear(hook.as_ref()), || {
            let (mut diarization, heard) = self.listen(source, options, &attendant)?;
            let mut similarities = BTreeMap::new();
            if let Some((voices, recognition)) = known {
                let embeddings = self.voices_of(&diarization, source, heard.duration, options, &attendant)?;
                similarities = names::identify(&mut diarization, &embeddings, &voices, recognition);
            }
            Ok((diarization, heard, similarities))
        })?;
        Ok(Found::new(py, diarization, heard, similarities).complete())
    }

    /// The spans in which at least `speakers` people speak.
    #[pyo3(signature = (source, speakers, options, hook))]
    fn activity(
        &self,
        py: Python<'_>,
        source: &Source,
        speakers: usize,
        options: &Options,
        hook: Option<Py<PyAny>>,
    ) -> PyResult<Active> {
        self.check_process()?;
        let attendant = Attendant::new(None);
        let (spans, heard) = attendant.run(py, &mut hear(hook.as_ref()), || {
            self.active(source, speakers, &options.inner, &attendant)
        })?;
        let spans = spans.into_iter().map(|span| (span.start, span.end)).collect();
        Ok(Active { spans, warnings: heard.warnings })
    }

    /// The embedding of each span in seconds. A span of which less than 25 ms is within the recording has none.
    #[pyo3(signature = (source, spans, options, hook))]
    fn embed(
        &self,
        py: Python<'_>,
        source: &Source,
        spans: Vec<(f64, f64)>,
        options: &Options,
        hook: Option<Py<PyAny>>,
    ) -> PyResult<Embedded> {
        self.check_process()?;
        let spans: Vec<Span> = spans.into_iter().map(|(start, end)| Span { start, end }).collect();
        let attendant = Attendant::new(None);
        let (embeddings, heard) = attendant
            .run(py, &mut hear(hook.as_ref()), || self.embed_spans(source, &spans, options, &attendant))?;
        let embeddings = embeddings.iter().map(|embedding| Some(bytes(py, embedding.as_ref()?))).collect();
        Ok(Embedded { embeddings, warnings: heard.warnings })
    }
}

/// What runs without Python's lock.
impl Model {
    /// Fails if another process has loaded the model on a GPU, which cannot be used from here.
    pub(crate) fn check_process(&self) -> Result<(), Failure> {
        let devices = self.pipelines.devices();
        if devices.first() == Device::Cpu || self.process == process::id() {
            return Ok(());
        }
        let sentence = format!(
            "the pipeline was loaded on {devices} by the process that started this one: load it here, or start processes with \
             the method `spawn`"
        );
        Err(Failure::Other("DeviceError", sentence))
    }

    pub(crate) fn listen(
        &self,
        source: &Source,
        options: &Options,
        attendant: &Attendant,
    ) -> Result<(Diarization, Heard), Failure> {
        let pipeline = self.pipelines.for_recording();
        let mut listener = pipeline.diarizer.listen_with(&options.inner, attendant.observer())?;
        let heard = source.read(attendant, |expected, block| {
            listener.expect_seconds(expected);
            threads::run(|| Ok(listener.push(block)?))
        })?;
        Ok((threads::run(|| Ok(listener.finish()?))?, heard))
    }

    pub(crate) fn active(
        &self,
        source: &Source,
        speakers: usize,
        options: &diarize::Options,
        attendant: &Attendant,
    ) -> Result<(Vec<Span>, Heard), Failure> {
        let pipeline = self.pipelines.for_recording();
        let mut listener = pipeline.diarizer.listen_for_activity(options, attendant.observer())?;
        let heard = source.read(attendant, |expected, block| {
            listener.expect_seconds(expected);
            threads::run(|| Ok(listener.push(block)?))
        })?;
        Ok((threads::run(|| Ok(listener.finish(speakers)?))?, heard))
    }

    pub(crate) fn embed_spans(
        &self,
        source: &Source,
        spans: &[Span],
        options: &Options,
        attendant: &Attendant,
    ) -> Result<(Embeddings, Heard), Failure> {
        let pipeline = self.pipelines.for_recording();
        let mut listener = pipeline.diarizer.listen_to_spans(spans, &options.inner, attendant.observer())?;
        let heard = source.read(attendant, |_, block| threads::run(|| Ok(listener.push(block)?)))?;
        Ok((threads::run(|| Ok(listener.finish()?))?, heard))
    }

    /// The embedding of each speaker. If the pipeline needed none, the recording is read again.
    fn voices_of(
        &self,
        diarization: &Diarization,
        source: &Source,
        duration: f64,
        options: &Options,
        attendant: &Attendant,
    ) -> Result<Embeddings, Failure> {
        let mut voices = Vec::new();
        for speaker in &diarization.speakers {
            let spans = pieces(&alone(diarization, speaker), duration);
            voices.push(match &speaker.embedding {
                Some(embedding) => Some(embedding.clone()),
                None if spans.is_empty() => None,
                None => {
                    let (embeddings, _) = self.embed_spans(source, &spans, options, attendant)?;
                    Voice::average(&embeddings, &spans).map(|voice| voice.embedding)
                }
            });
        }
        Ok(voices)
    }
}

/// Passes progress to a hook, which takes the name of a stage, and the numbers of chunks that are done and expected.
pub fn hear(hook: Option<&Py<PyAny>>) -> impl FnMut(Python<'_>, Event) -> PyResult<()> + Send {
    move |py, event| {
        if let (Event::Progress(progress), Some(hook)) = (event, hook) {
            hook.call1(py, (progress.stage.name(), progress.done, progress.total))?;
        }
        Ok(())
    }
}

/// Every device that this build and this machine support, the CPU first.
#[pyfunction]
pub fn devices() -> Vec<String> {
    Device::all().iter().map(Device::to_string).collect()
}

/// The files of a model.
fn files(name: Option<&str>, token: Option<String>, cache: Option<PathBuf>) -> Result<ModelFiles, Failure> {
    let Some(name) = name else { return Ok(ModelFiles::bundled()?) };
    let mut settings = hub::Settings::from_env();
    settings.token = token.or(settings.token);
    settings.cache = cache.unwrap_or(settings.cache);
    let mut fetch =
        |repository: &str, file: &str| Ok(hub::fetch_with(&settings, repository, file, &mut |_| {})?);
    diarize_convert::load(name, &mut fetch).map_err(Failure::Model)
}
