//! Converts pyannote pipelines and checkpoints to `diarize` models, without Python.
//!
//! ```no_run
//! use diarize_convert::{ConvertOptions, convert, hub};
//!
//! let mut fetch = |repository: &str, file: &str| Ok(hub::fetch(repository, file, &mut |_| {})?);
//! let converted = convert("pyannote/speaker-diarization-3.1", &ConvertOptions::default(), &mut fetch)?;
//! converted.write("model".as_ref(), Default::default())?;
//! # Ok::<(), diarize_convert::Error>(())
//! ```
//!
//! Python executes whatever code the pickle in a checkpoint names. This crate never calls anything (see
//! [`pickle`]), does not trust sizes stated in files, and bounds every loop and allocation. Only [`hub`]
//! accesses the network.

#![forbid(unsafe_code)]

mod archive;
pub mod catalogue;
mod checkpoint;
mod error;
mod exported;
pub mod hub;
mod network;
mod npz;
mod onnx;
pub mod pickle;
mod pipeline;
mod pyannote;
mod quantized;
mod source;
mod tensor;
mod torch;
mod wespeaker;
mod write;

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use diarize::model::{MANIFEST, ModelFiles};

pub use crate::{
    archive::ArchiveProblem,
    checkpoint::Checkpoint,
    error::{Error, Problem, Result},
    network::{Kind, Network},
    npz::NpyProblem,
    onnx::OnnxProblem,
    pipeline::ConfigProblem,
    pyannote::{About, NetworkProblem, ProblemKind, Specifications},
    source::Fetch,
    tensor::{Tensor, TensorProblem, Tensors},
    write::Precision,
};
use crate::{
    hub::HubError,
    pipeline::PLDA_FILES,
    source::{Place, Sources, checkpoint_in},
};

/// File names of pipeline configurations.
const CONFIGS: [&str; 2] = [pipeline::CONFIG, "config.yml"];

/// Options for [`convert`].
#[derive(Clone, Debug, Default)]
pub struct ConvertOptions {
    /// The precision in which a pipeline's networks are written.
    pub precision: Precision,
    /// Replaces the pipeline's segmentation network: a file, a directory or the name of a hub repository. If
    /// the input is an embedding network, the two networks are combined into a pipeline.
    pub segmentation: Option<String>,
    /// Replaces the pipeline's embedding network. If the input is a segmentation network, the two networks are
    /// combined into a pipeline.
    pub embedding: Option<String>,
}

/// The result of a conversion.
#[derive(Clone, Debug)]
pub enum Converted {
    /// A complete pipeline, which the library can run.
    Pipeline(Box<ModelFiles>),
    /// A single network or a PLDA.
    Network(Box<Network>),
}

/// Converts `input`: a configuration, a checkpoint, a directory that contains either, a converted model or a
/// model of the [`catalogue`] that was downloaded (of which only the precision changes), or the name of a hub
/// repository. An existing path takes precedence over a model or repository of the same name.
///
/// # Errors
/// The input does not exist, cannot be read or is not supported. [`Error`] names the file and the reason.
pub fn convert(input: &str, options: &ConvertOptions, fetch: &mut Fetch<'_>) -> Result<Converted> {
    let mut sources = Sources::new(fetch);
    let path = Path::new(input);
    let exists = match path.try_exists() {
        Err(source) if source.kind() == ErrorKind::PermissionDenied => {
            return Err(Error::Read { path: path.to_owned(), source });
        }
        exists => exists.unwrap_or(false),
    };
    if let Some(directory) = converted(input)? {
        return Ok(Converted::Pipeline(Box::new(pipeline::of_model(&directory, options)?)));
    }
    if !exists {
        let Some(place) = Place::repository(input) else {
            return Err(Error::NoSuchInput { input: input.to_owned() });
        };
        return repository(&place, input, options, &mut sources);
    }
    if !path.is_dir() {
        if !is_config(path) {
            return network(&Place::Directory(path.to_owned()), input, options, &mut sources);
        }
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        return pipeline(&Place::Directory(directory), &file, options, &mut sources);
    }
    let place = Place::Directory(path.to_owned());
    if let Some(config) = CONFIGS.into_iter().find(|name| path.join(name).is_file())
        && pipeline::names_a_pipeline(&sources.peek(&place, config)?.content)
    {
        return pipeline(&place, config, options, &mut sources);
    }
    if checkpoint_in(path)?.is_none() && PLDA_FILES.iter().all(|name| path.join(name).is_file()) {
        if options.segmentation.is_some() || options.embedding.is_some() {
            return Err(Error::NothingToReplace { input: input.to_owned(), kind: Kind::Plda.describe() });
        }
        return plda(&place, &mut sources);
    }
    network(&place, input, options, &mut sources)
}

/// Converts `input` to a model in memory. A converted model is read as it is.
///
/// # Errors
/// Those of [`convert`], or the input is a single network instead of a pipeline.
pub fn load(input: &str, fetch: &mut Fetch<'_>) -> Result<ModelFiles> {
    if let Some(directory) = converted(input)? {
        return Ok(ModelFiles::read(&directory)?);
    }
    match convert(input, &ConvertOptions::default(), fetch).map_err(|error| on_mirror(input, error))? {
        Converted::Pipeline(model) => Ok(*model),
        Converted::Network(network) if matches!(network.kind, Kind::Unknown) => {
            Err(Problem::from(network.problem()).at(network.file()))
        }
        Converted::Network(network) => {
            Err(Error::NotAPipeline { input: input.to_owned(), kind: network.kind.describe() })
        }
    }
}

/// Names the model of the catalogue that has the files of a repository which the hub refuses.
fn on_mirror(input: &str, error: Error) -> Error {
    let refused = |error: &HubError| {
        matches!(error, HubError::NeedsToken { .. } | HubError::TokenRefused { .. } | HubError::Gated { .. })
    };
    match error {
        Error::Hub(source) if refused(&source) => match catalogue::of_publisher(input) {
            Some(name) => Error::OnMirror { name, source: Box::new(source) },
            None => Error::Hub(source),
        },
        error => error,
    }
}

/// The directory of a converted model: `input` itself, or that of the catalogue's model of this name.
fn converted(input: &str) -> Result<Option<PathBuf>> {
    let path = Path::new(input);
    if path.exists() {
        return Ok(path.join(MANIFEST).is_file().then(|| path.to_owned()));
    }
    let Some(model) = catalogue::find(input)? else { return Ok(None) };
    model.installed().map(Some).ok_or(Error::NotDownloaded { name: model.name })
}

fn is_config(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

fn pipeline(
    place: &Place,
    file: &str,
    options: &ConvertOptions,
    sources: &mut Sources<'_, '_>,
) -> Result<Converted> {
    Ok(Converted::Pipeline(Box::new(pipeline::convert(place, file, options, sources)?)))
}

/// Converts a hub repository, which holds either a pipeline or a checkpoint. Its files tell which.
fn repository(
    place: &Place,
    input: &str,
    options: &ConvertOptions,
    sources: &mut Sources<'_, '_>,
) -> Result<Converted> {
    match sources.peek(place, CONFIGS[0]) {
        Ok(config) if pipeline::names_a_pipeline(&config.content) => {
            pipeline(place, CONFIGS[0], options, sources)
        }
        Ok(_) | Err(Error::Hub(HubError::FileNotFound { .. })) => network(place, input, options, sources),
        // Offline, it is unknown whether the repository has this file.
        Err(offline @ Error::Hub(HubError::Offline { .. })) => {
            network(place, input, options, sources).map_err(|_| offline)
        }
        Err(error) => Err(error),
    }
}

fn plda(place: &Place, sources: &mut Sources<'_, '_>) -> Result<Converted> {
    let (_, tensors) = pipeline::plda(place, sources)?;
    Ok(single(place, Kind::Plda, Checkpoint { tensors, about: About::default() }, sources))
}

fn network(
    place: &Place,
    input: &str,
    options: &ConvertOptions,
    sources: &mut Sources<'_, '_>,
) -> Result<Converted> {
    let (_, kind, checkpoint) = pipeline::load(place, sources)?;
    let pair = match (&kind, &options.segmentation, &options.embedding) {
        (_, None, None) => None,
        (Kind::Segmentation(_), None, Some(embedding)) => Some((input, embedding.as_str())),
        (Kind::Embedding(_), Some(segmentation), None) => Some((segmentation.as_str(), input)),
        _ => return Err(Error::NothingToReplace { input: input.to_owned(), kind: kind.describe() }),
    };
    match pair {
        Some((segmentation, embedding)) => {
            let model = pipeline::of_networks(segmentation, embedding, options, sources)?;
            Ok(Converted::Pipeline(Box::new(model)))
        }
        None => Ok(single(place, kind, checkpoint, sources)),
    }
}

fn single(place: &Place, kind: Kind, checkpoint: Checkpoint, sources: &Sources<'_, '_>) -> Converted {
    Converted::Network(Box::new(Network {
        kind,
        tensors: checkpoint.tensors,
        about: checkpoint.about,
        source: place.name(),
        license: sources.license(),
        inputs: sources.inputs.clone(),
    }))
}
