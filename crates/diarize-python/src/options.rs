//! The options of a pipeline.

use diarize::{
    Parameters,
    clustering::{Method, Pyannote, Settings},
};
use pyo3::prelude::*;
use serde_json::Value;

use crate::{failure::Failure, model::Model};

/// The hyper-parameters of a pipeline and how it uses the processor.
#[pyclass(module = "diarize_rs._native")]
#[derive(Clone)]
pub struct Options {
    pub(crate) inner: diarize::Options,
}

#[pymethods]
impl Options {
    /// The model's own options.
    #[new]
    fn new(model: &Model) -> Self {
        Self { inner: model.pipelines.first().options() }
    }

    /// The same options for a recording with these numbers of speakers.
    #[pyo3(signature = (num_speakers, min_speakers, max_speakers))]
    fn with_speakers(
        &self,
        num_speakers: Option<usize>,
        min_speakers: Option<usize>,
        max_speakers: Option<usize>,
    ) -> Self {
        let mut inner = self.inner.clone();
        (inner.num_speakers, inner.min_speakers, inner.max_speakers) =
            (num_speakers, min_speakers, max_speakers);
        Self { inner }
    }

    /// Sets the processor threads of each recording; with `None`, all recordings share one for each core.
    #[pyo3(signature = (threads))]
    fn set_threads(&mut self, threads: Option<usize>) -> PyResult<()> {
        self.change(|options| {
            options.threads = threads;
            Ok(())
        })
    }

    /// Allows the CPU to continue if the device fails.
    fn set_cpu_fallback(&mut self, allowed: bool) {
        self.inner.allow_cpu_fallback = allowed;
    }

    /// Sets a hyper-parameter. A name that begins with `clustering.` is that of a parameter of the clustering method, here or in
    /// pyannote. The value is JSON or text.
    fn set(&mut self, name: &str, value: &str) -> PyResult<()> {
        self.change(|options| set(&mut options.parameters, name, value))
    }

    /// Chooses a clustering method, with its defaults if it is another one.
    fn set_clustering(&mut self, name: &str) -> PyResult<()> {
        self.change(|options| {
            let clustering = &mut options.parameters.clustering;
            if clustering.method.name() != name {
                *clustering = Settings::named(name).ok_or_else(|| {
                    let names = Method::NAMES.join(", ");
                    wrong(format!("clustering is {name}, but must be one of {names}"))
                })?;
            }
            Ok(())
        })
    }

    /// Sets the parameters that reproduce a version of pyannote.audio.
    fn reproduce(&mut self, version: &str) -> PyResult<()> {
        let version = match version {
            "pyannote-3.3" => Pyannote::V3_3,
            "pyannote-4.0" => Pyannote::V4_0,
            _ => {
                let sentence = format!("compat is {version}, but must be pyannote-3.3 or pyannote-4.0");
                return Err(wrong(sentence).into());
            }
        };
        self.change(|options| Ok(options.parameters.reproduce(version)?))
    }

    /// The hyper-parameters as JSON.
    fn parameters(&self) -> String {
        serde_json::to_value(&self.inner.parameters).expect("text and finite numbers").to_string()
    }

    /// Replaces the hyper-parameters by those that [`Self::parameters`] returned.
    fn restore(&mut self, parameters: &str) -> PyResult<()> {
        self.change(|options| {
            options.parameters =
                serde_json::from_str(parameters).map_err(|error| wrong(error.to_string()))?;
            Ok(())
        })
    }
}

impl Options {
    /// Changes the options, unless that makes them invalid.
    fn change(&mut self, change: impl FnOnce(&mut diarize::Options) -> Result<(), Failure>) -> PyResult<()> {
        let mut options = self.inner.clone();
        change(&mut options)?;
        match options.check() {
            // The number of speakers comes with a recording.
            Ok(()) | Err(diarize::Error::NoSpeakerCount) => self.inner = options,
            Err(error) => return Err(Failure::from(error).into()),
        }
        Ok(())
    }
}

fn set(parameters: &mut Parameters, name: &str, value: &str) -> Result<(), Failure> {
    if let Some(name) = name.strip_prefix("clustering.") {
        return set_for_clustering(&mut parameters.clustering, name, value);
    }
    if name == "embedding_trunk" {
        parameters.set_embedding_trunk(value.parse()?);
        return Ok(());
    }
    let mut all = serde_json::to_value(&*parameters).expect("text and finite numbers");
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    all[name] = value;
    *parameters = serde_json::from_value(all).map_err(|error| wrong(format!("{name}: {error}")))?;
    Ok(())
}

/// Sets a parameter of the clustering method by its name here or in pyannote.
fn set_for_clustering(clustering: &mut Settings, given: &str, value: &str) -> Result<(), Failure> {
    let name = match given {
        "method" => "linkage",
        "Fa" => "fa",
        "Fb" => "fb",
        _ => given,
    };
    let method = clustering.method.name();
    match clustering.set(name, value) {
        Err(diarize::Error::Setting { .. }) if clustering.get(name).is_none() && !having(name).is_empty() => {
            Err(wrong(format!(
                "clustering has no parameter {given} with the method {method}: load the pipeline with clustering={}",
                having(name).join(" or ")
            )))
        }
        Err(diarize::Error::Setting { reason, .. }) => Err(wrong(format!("{given}={value}: {reason}"))),
        result => Ok(result?),
    }
}

/// The names of the clustering methods that have a parameter, in quotes.
fn having(name: &str) -> Vec<String> {
    let has = |method: &&str| Settings::named(method).is_some_and(|settings| settings.get(name).is_some());
    Method::NAMES.iter().copied().filter(has).map(|method| format!("\"{method}\"")).collect()
}

fn wrong(sentence: String) -> Failure {
    Failure::Other("OptionError", sentence)
}
