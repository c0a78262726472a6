//! Known speakers.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use diarize::{
    Span,
    voices::{Recognition, Voices as Known},
};
use diarize_cli::{
    commands::enroll::{doubts, several, too_little},
    failure::reason,
    output::write_atomically,
    voice_embedder::{Voice, for_speech, pieces},
};
use pyo3::{prelude::*, types::PyBytes};

use crate::{
    attendant::Attendant,
    failure::Failure,
    model::{Model, hear},
    options::Options,
    results::bytes,
    source::Source,
};

/// Named voices, all embedded with the same model.
#[pyclass(frozen, module = "diarize_rs._native")]
pub struct Voices {
    known: Mutex<Known>,
}

#[pymethods]
impl Voices {
    /// No voices yet, of a model.
    #[staticmethod]
    fn empty(model: &Model) -> Self {
        Self { known: Mutex::new(Known::new(&model.pipelines.model().name, model.fingerprint.clone())) }
    }

    /// The voices in the content of a file.
    #[staticmethod]
    #[pyo3(signature = (content, name))]
    fn from_bytes(content: &[u8], name: &str) -> PyResult<Self> {
        let known = Known::from_bytes(content).map_err(|error| wrong(format!("{name}: {error}")))?;
        Ok(Self { known: Mutex::new(known) })
    }

    /// The voices in a file.
    #[staticmethod]
    fn load(path: PathBuf) -> PyResult<Self> {
        let name = path.display().to_string();
        let content = fs::read(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                Failure::Other("VoicesNotFoundError", format!("{name}: no such file: check the path"))
            }
            _ => wrong(format!("cannot read the voices in {name}: {}", reason(&error))),
        })?;
        Self::from_bytes(&content, &name)
    }

    /// Writes the voices to a file. A failure leaves the old file unchanged.
    fn save(&self, path: PathBuf) -> PyResult<()> {
        let written = write_atomically(&path, self.to_bytes());
        Ok(written.map_err(|error| wrong(format!("cannot write {}: {}", path.display(), reason(&error))))?)
    }

    /// The content of a file.
    fn content(&self, py: Python<'_>) -> Py<PyBytes> {
        PyBytes::new(py, &self.to_bytes()).unbind()
    }

    /// The name of the model.
    #[getter]
    fn model(&self) -> String {
        self.lock().model.clone()
    }

    /// Each person's name with the embedding (the bytes of f32), the seconds of speech and the number of recordings.
    fn people(&self, py: Python<'_>) -> BTreeMap<String, (Py<PyBytes>, f64, usize)> {
        let people = &self.lock().people;
        let entry = |(name, voice): (&String, &diarize::voices::Voice)| {
            (name.clone(), (bytes(py, &voice.embedding), voice.seconds, voice.recordings))
        };
        people.iter().map(entry).collect()
    }

    /// Removes a person. Returns whether there was one.
    fn remove(&self, name: &str) -> bool {
        self.lock().people.remove(name).is_some()
    }

    /// The voice in a recording of a person, for [`Self::add`]: the embedding (the bytes of f32), the seconds of speech, and
    /// warnings. `anyway` accepts a recording in which several people seem to speak.
    #[pyo3(signature = (name, model, source, options, anyway))]
    fn hear(
        &self,
        py: Python<'_>,
        name: &str,
        model: &Model,
        source: &Source,
        options: &Options,
        anyway: bool,
    ) -> PyResult<(Py<PyBytes>, f64, Vec<String>)> {
        self.check_model(model)?;
        model.check_process()?;
        if name.is_empty() || name == "__metadata__" {
            return Err(Failure::Other("OptionError", format!("`{name}` cannot be a person's name")).into());
        }
        let attendant = Attendant::new(None);
        let (voice, mut warnings) = attendant.run(py, &mut hear(None), || {
            let (spans, heard) = model.active(source, 1, &for_speech(&options.inner), &attendant)?;
            let spans = pieces(&spans, heard.duration);
            if !anyway {
                refuse_several(model, source, options, &attendant)?;
            }
            Ok((embedded(model, source, &spans, options, &attendant)?, heard.warnings))
        })?;
        {
            let known = self.lock();
            warnings.extend(doubts(&known, name, &voice, "use remove() first"));
            let before = known.people.get(name).map_or(0.0, |person| person.seconds);
            warnings.extend(too_little(before + voice.seconds, voice.seconds));
        }
        Ok((bytes(py, &voice.embedding), voice.seconds, warnings))
    }

    /// Adds a voice to a person's.
    fn add(&self, name: &str, embedding: &[u8], seconds: f64) {
        let value = |bytes: &[u8; 4]| f32::from_ne_bytes(*bytes);
        let embedding: Vec<f32> = embedding.as_chunks().0.iter().map(value).collect();
        self.lock().hear(name, &embedding, seconds);
    }
}

impl Voices {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.lock().to_bytes()
    }

    /// A copy of the voices, and when one is recognized.
    pub fn recognizer(
        &self,
        model: &Model,
        threshold: f64,
        margin: f64,
    ) -> Result<(Known, Recognition), Failure> {
        self.check_model(model)?;
        for (option, value) in [("identify_threshold", threshold), ("identify_margin", margin)] {
            if !(-1.0..=2.0).contains(&value) {
                let sentence =
                    format!("{option} is {value}, but must be a difference of cosine similarities");
                return Err(Failure::Other("OptionError", sentence));
            }
        }
        Ok((self.lock().clone(), Recognition { threshold, margin }))
    }

    fn check_model(&self, model: &Model) -> Result<(), Failure> {
        let known = self.lock();
        if known.fingerprint == model.fingerprint {
            return Ok(());
        }
        Err(wrong(format!(
            "these are voices of the model {}, which cannot be compared with those of {}: load that model, or enroll the \
             speakers again",
            known.model,
            model.pipelines.model().name
        )))
    }
}

/// Refuses a recording in which several people speak: their mean is nobody's voice.
fn refuse_several(
    model: &Model,
    source: &Source,
    options: &Options,
    attendant: &Attendant,
) -> Result<(), Failure> {
    let (diarization, _) = model.listen(source, options, attendant)?;
    let shares = diarization.speakers.into_iter().map(|speaker| (speaker.label, speaker.duration));
    match several(shares.collect()) {
        None => Ok(()),
        Some(people) => Err(wrong(format!(
            "several people speak in it ({people}): use a part in which one person speaks, or anyway=True if it is one \
             person"
        ))),
    }
}

fn embedded(
    model: &Model,
    source: &Source,
    spans: &[Span],
    options: &Options,
    attendant: &Attendant,
) -> Result<Voice, Failure> {
    let too_little =
        || wrong("contains too little speech: at least 0.3 s without a pause are needed".to_owned());
    if spans.is_empty() {
        return Err(too_little());
    }
    let (embeddings, _) = model.embed_spans(source, spans, options, attendant)?;
    Voice::average(&embeddings, spans).ok_or_else(too_little)
}

fn wrong(sentence: String) -> Failure {
    Failure::Other("VoicesError", sentence)
}
