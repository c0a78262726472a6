//! What pyannote has on disk in, a `diarize` model out, without Python.
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
//! Loading a checkpoint with Python runs whatever its pickle names. Here nothing is ever called (see
//! [`pickle`]), sizes that a file states are not believed, and every loop and allocation has a bound.
//! [`hub`] is the only part that knows of a network.

#![forbid(unsafe_code)]

mod archive;
mod checkpoint;
mod error;
pub mod hub;
mod network;
mod npz;
pub mod pickle;
mod pipeline;
mod pyannote;
mod source;
mod tensor;
mod torch;
mod wespeaker;
mod write;

use std::path::Path;

use diarize::model::{MANIFEST, ModelFiles};

pub use crate::{
    archive::ArchiveProblem,
    checkpoint::Checkpoint,
    error::{Error, Problem, Result},
    network::{Kind, Network},
    npz::NpyProblem,
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

/// Names that the configuration of a pipeline has.
const CONFIGS: [&str; 2] = ["config.yaml", "config.yml"];

/// How to convert.
#[derive(Clone, Debug, Default)]
pub struct ConvertOptions {
    /// How floating-point numbers of a pipeline's networks are written.
    pub precision: Precision,
    /// The segmentation network, in place of the pipeline's own: a file, a directory or the name of a
    /// hub repository. With a network for embeddings as input this makes a pipeline of the two.
    pub segmentation: Option<String>,
    /// The same for the embedding network.
    pub embedding: Option<String>,
}

/// What came out.
#[derive(Clone, Debug)]
pub enum Converted {
    /// A pipeline, which the library can run.
    Pipeline(Box<ModelFiles>),
    /// A network or a PLDA without a pipeline around it.
    Network(Box<Network>),
}

/// Converts `input`: a configuration, a checkpoint, a directory of either or of a converted model
/// (which is taken as it is), or the name of a hub repository. What lies on the disk under that name
/// wins.
///
/// # Errors
/// [`Error`] names the file and the reason.
pub fn convert(input: &str, options: &ConvertOptions, fetch: &mut Fetch<'_>) -> Result<Converted> {
    let mut sources = Sources::new(fetch);
    let path = Path::new(input);
    if !path.exists() {
        let Some(place) = Place::repository(input) else {
            return Err(Error::NoSuchInput { input: input.to_owned() });
        };
        return repository(&place, input, options, &mut sources);
    }
    if path.is_file() {
        if !is_config(path) {
            return network(&Place::Directory(path.to_owned()), input, options, &mut sources);
        }
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        return pipeline(&Place::Directory(directory), &file, options, &mut sources);
    }
    if path.join(MANIFEST).is_file() {
        return Ok(Converted::Pipeline(Box::new(ModelFiles::read(path)?)));
    }
    let place = Place::Directory(path.to_owned());
    if let Some(config) = CONFIGS.into_iter().find(|name| path.join(name).is_file())
        && pipeline::names_a_pipeline(&sources.peek(&place, config)?.content)
    {
        return pipeline(&place, config, options, &mut sources);
    }
    if checkpoint_in(path)?.is_none() && PLDA_FILES.iter().all(|name| path.join(name).is_file()) {
        return plda(&place, &mut sources);
    }
    network(&place, input, options, &mut sources)
}

/// Converts `input` in memory, for a diarizer.
///
/// # Errors
/// As [`convert`]; a network without a pipeline around it.
pub fn load(input: &str, fetch: &mut Fetch<'_>) -> Result<ModelFiles> {
    match convert(input, &ConvertOptions::default(), fetch)? {
        Converted::Pipeline(model) => Ok(*model),
        Converted::Network(network) => {
            Err(Error::NotAPipeline { input: input.to_owned(), kind: network.kind.describe() })
        }
    }
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

/// A repository of a hub is a pipeline or a checkpoint: which of them is told by the files it has.
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
        // Without a connection one cannot know whether there is such a file.
        Err(offline @ Error::Hub(HubError::Offline { .. })) => {
            network(place, input, options, sources).map_err(|_| offline)
        }
        Err(error) => Err(error),
    }
}

fn plda(place: &Place, sources: &mut Sources<'_, '_>) -> Result<Converted> {
    let (_, tensors) = pipeline::plda(place, sources)?;
    Ok(alone(place, Kind::Plda, Checkpoint { tensors, about: About::default() }, sources))
}

fn network(
    place: &Place,
    input: &str,
    options: &ConvertOptions,
    sources: &mut Sources<'_, '_>,
) -> Result<Converted> {
    let (_, kind, checkpoint) = pipeline::load(place, sources)?;
    let pair = match (&kind, &options.segmentation, &options.embedding) {
        (Kind::Segmentation(_), None, Some(embedding)) => Some((input, embedding.as_str())),
        (Kind::Embedding(_), Some(segmentation), None) => Some((segmentation.as_str(), input)),
        _ => None,
    };
    match pair {
        Some((segmentation, embedding)) => {
            let model = pipeline::of_networks(segmentation, embedding, options, sources)?;
            Ok(Converted::Pipeline(Box::new(model)))
        }
        None => Ok(alone(place, kind, checkpoint, sources)),
    }
}

fn alone(place: &Place, kind: Kind, checkpoint: Checkpoint, sources: &Sources<'_, '_>) -> Converted {
    Converted::Network(Box::new(Network {
        kind,
        tensors: checkpoint.tensors,
        about: checkpoint.about,
        source: place.name(),
        licence: sources.licence(),
        inputs: sources.inputs.clone(),
    }))
}
