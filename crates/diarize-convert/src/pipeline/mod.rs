//! Converts whole pipelines: a configuration, its networks and its PLDA.

mod config;

use std::path::{Path, PathBuf};

use diarize::model::{Hysteresis, MANIFEST, Manifest, ModelFiles, WeightsFile};

pub use self::config::ConfigProblem;
pub(crate) use self::config::{Config, Reference};
use crate::{
    ConvertOptions, Error, Problem, Result, catalogue,
    checkpoint::Checkpoint,
    network::Kind,
    npz,
    source::{Place, Sources},
    tensor::Tensors,
    write::{Precision, encode},
};

/// File name of a configuration.
pub(crate) const CONFIG: &str = "config.yaml";

/// File names of a PLDA.
pub(crate) const PLDA_FILES: [&str; 2] = ["plda.npz", "xvec_transform.npz"];

/// Words by which pyannote recognizes embedding networks of other projects.
const OTHER_PROJECTS: [&str; 2] = ["speechbrain", "nvidia"];

/// Converts the pipeline with the configuration `file` in `place`.
pub(crate) fn convert(
    place: &Place,
    file: &str,
    options: &ConvertOptions,
    sources: &mut Sources<'_, '_>,
) -> Result<ModelFiles> {
    sources.note_license(place);
    let bytes = sources.read(place, file)?;
    let wrong = |problem: ConfigProblem| Problem::from(problem).at(&bytes.path);
    let config = Config::parse(&bytes.content).map_err(wrong)?;
    let find = |name, reference: &Reference| locate(place, name, reference).map_err(wrong);
    let given = |name, path: &Option<String>, reference: &Reference| match path {
        Some(path) => find(name, &Reference::Text(path.clone())),
        None => find(name, reference),
    };
    let parts = Parts {
        segmentation: given("segmentation", &options.segmentation, &config.segmentation)?,
        embedding: given("embedding", &options.embedding, &config.embedding)?,
        plda: config.plda.as_ref().map(|reference| find("plda", reference)).transpose()?,
    };
    assemble(&place.name(), &parts, &config, options, sources)
}

/// Combines two separate networks into a pipeline, with the parameters of pyannote's speaker-diarization-3.1.
pub(crate) fn of_networks(
    segmentation: &str,
    embedding: &str,
    options: &ConvertOptions,
    sources: &mut Sources<'_, '_>,
) -> Result<ModelFiles> {
    let here = Place::Directory(PathBuf::new());
    let find = |name, given: &str| {
        let reference = Reference::Text(given.to_owned());
        locate(&here, name, &reference).map_err(|_| match catalogue::find(given) {
            Ok(Some(_)) => Error::NotANetwork { input: given.to_owned() },
            _ => Error::NoSuchInput { input: given.to_owned() },
        })
    };
    let parts = Parts {
        segmentation: find("segmentation", segmentation)?,
        embedding: find("embedding", embedding)?,
        plda: None,
    };
    let config = Config {
        segmentation: Reference::Text(segmentation.to_owned()),
        embedding: Reference::Text(embedding.to_owned()),
        plda: None,
        parameters: diarize::Parameters::default(),
        threshold: None,
    };
    assemble(&parts.segmentation.name(), &parts, &config, options, sources)
}

/// Converts the networks of a converted model to another precision.
pub(crate) fn of_model(directory: &Path, options: &ConvertOptions) -> Result<ModelFiles> {
    let mut model = ModelFiles::read(directory)?;
    if options.segmentation.is_some() || options.embedding.is_some() {
        let original = model.manifest.source;
        return Err(Error::AlreadyConverted { path: directory.to_owned(), original });
    }
    for file in [&mut model.segmentation, &mut model.embedding] {
        let checkpoint = Checkpoint::read(&file.bytes).map_err(|problem| problem.at(&file.path))?;
        file.bytes = encode(&checkpoint.tensors, options.precision).into();
    }
    Ok(model)
}

/// Whether a `config.yaml` describes a pipeline. A single network can come with a file of the same name that
/// describes its training.
pub(crate) fn names_a_pipeline(config: &[u8]) -> bool {
    config.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"pipeline:"))
}

/// The places of the parts of a pipeline.
struct Parts {
    segmentation: Place,
    embedding: Place,
    plda: Option<Place>,
}

fn assemble(
    name: &str,
    parts: &Parts,
    config: &Config,
    options: &ConvertOptions,
    sources: &mut Sources<'_, '_>,
) -> Result<ModelFiles> {
    let (segmentation_path, kind, segmentation_checkpoint) = load(&parts.segmentation, sources)?;
    let mut segmentation = kind
        .segmentation(&segmentation_checkpoint.about)
        .map_err(|problem| Problem::from(problem).at(&segmentation_path))?;
    let (embedding_path, kind, embedding_checkpoint) = load(&parts.embedding, sources)?;
    let embedding = kind
        .embedding(&embedding_checkpoint.about)
        .map_err(|problem| Problem::from(problem).at(&embedding_path))?;
    if let (Some(hysteresis), Some(threshold)) = (&mut segmentation.multilabel, config.threshold) {
        *hysteresis = Hysteresis { onset: threshold, offset: threshold };
    }
    let plda = parts.plda.as_ref().map(|place| plda(place, sources)).transpose()?;
    let weights =
        |path, tensors: &Tensors, precision| WeightsFile { path, bytes: encode(tensors, precision).into() };
    let manifest = Manifest {
        name: name.to_owned(),
        license: sources.license(),
        source: name.to_owned(),
        segmentation,
        embedding,
        parameters: config.parameters.clone(),
        plda: plda.is_some().then(|| "plda.safetensors".to_owned()),
        inputs: sources.inputs.clone(),
        ..Manifest::pyannote_3_1("", "", "")
    };
    // Validate the manifest now, so that the error is the same as when loading the model.
    Manifest::parse(MANIFEST.as_ref(), manifest.to_toml().as_bytes())?;
    Ok(ModelFiles {
        segmentation: weights(segmentation_path, &segmentation_checkpoint.tensors, options.precision),
        embedding: weights(embedding_path, &embedding_checkpoint.tensors, options.precision),
        plda: plda.map(|(path, tensors)| weights(path, &tensors, Precision::Exact)),
        manifest,
    })
}

/// Reads a checkpoint. Returns the path of its file, its kind and its content.
pub(crate) fn load(place: &Place, sources: &mut Sources<'_, '_>) -> Result<(PathBuf, Kind, Checkpoint)> {
    let bytes = sources.checkpoint(place)?;
    let wrong = |problem: Problem| problem.at(&bytes.path);
    let mut checkpoint = Checkpoint::read(&bytes.content).map_err(wrong)?;
    let kind = Kind::of(&mut checkpoint).map_err(|problem| wrong(problem.into()))?;
    Ok((bytes.path, kind, checkpoint))
}

/// Reads the arrays of both files of a PLDA. Also returns the path of the second file.
pub(crate) fn plda(place: &Place, sources: &mut Sources<'_, '_>) -> Result<(PathBuf, Tensors)> {
    let mut arrays = Tensors::new();
    let mut path = PathBuf::new();
    sources.note_license(place);
    for file in PLDA_FILES {
        let bytes = sources.read(place, file)?;
        arrays.extend(npz::read(&bytes.content).map_err(|problem| problem.at(&bytes.path))?);
        path = bytes.path;
    }
    Ok((path, arrays))
}

/// Resolves a reference in a configuration in `place`.
fn locate(
    place: &Place,
    name: &'static str,
    reference: &Reference,
) -> std::result::Result<Place, ConfigProblem> {
    let (text, subfolder) = match reference {
        Reference::Text(text) => (text.clone(), None),
        Reference::Parts { checkpoint, subfolder, revision: None } => {
            (checkpoint.clone(), subfolder.as_deref())
        }
        Reference::Parts { checkpoint, subfolder, revision: Some(revision) } => {
            (format!("{checkpoint}@{revision}"), subfolder.as_deref())
        }
    };
    let inside = |place: Place| subfolder.map_or(place.clone(), |subfolder| place.join(subfolder));
    if let Some(path) = text.strip_prefix("$model") {
        return Ok(inside(place.join(path.trim_start_matches('/'))));
    }
    if let Place::Directory(directory) = place {
        // Try relative to the configuration first, then to the current directory, as pyannote does.
        let candidates = [directory.join(&text), PathBuf::from(&text)];
        if let Some(path) = candidates.into_iter().find(|path| path.exists()) {
            return Ok(inside(Place::Directory(path)));
        }
    }
    if OTHER_PROJECTS.iter().any(|word| text.to_lowercase().contains(word)) {
        let reason = "only networks of pyannote and WeSpeaker are supported";
        return Err(ConfigProblem::Unsupported { name, value: text, reason });
    }
    Place::repository(&text).map(inside).ok_or(match place {
        Place::Repository { .. } => ConfigProblem::NotARepository { name, value: text },
        Place::Directory(_) => ConfigProblem::NoSuchModel { name, value: text },
    })
}
