//! The models that are known by a short name: where they are, what they may be used for, and how they get onto this machine.
//!
//! `catalogue.toml` in this crate lists them. The environment variable `DIARIZE_CATALOGUE` names another file of the same form,
//! for example with the mirrors of an organization.
//!
//! ```no_run
//! use diarize::{Device, Diarizer};
//! use diarize_convert::{
//!     catalogue::{Catalogue, Origin},
//!     hub::Settings,
//! };
//!
//! let catalogue = Catalogue::open()?;
//! let model = catalogue.find("community-1").expect("the list has this model");
//! let directory = catalogue.install(model, Origin::Mirrors, &Settings::from_env(), &mut |_, _| {})?;
//! println!("{}", model.attribution);
//! let diarizer = Diarizer::load(&directory, Device::auto())?;
//! # Ok::<(), diarize_convert::Error>(())
//! ```

mod download;
mod ledger;
mod notice;
mod recognizer;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use diarize::model::ModelFiles;
use safetensors::SafeTensors;
use serde::Deserialize;

pub use self::download::{Download, Origin};
use crate::{
    Error, Result,
    hub::{check_file, is_repo_id},
    pipeline::{CONFIG, names_a_pipeline},
};

/// The list of this crate.
const BUNDLED: &str = include_str!("../../catalogue.toml");

/// Names another list.
const VARIABLE: &str = "DIARIZE_CATALOGUE";

/// The models that are known by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    #[serde(rename = "model")]
    models: Vec<Model>,
    /// The text of each license, by its SPDX identifier.
    licenses: BTreeMap<String, String>,
}

/// What a model finds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Task {
    /// Who speaks when.
    #[default]
    Diarize,
    /// What is said: Whisper. Its files are stored as they are.
    Transcribe,
}

/// A model that is known by name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Model {
    /// The short name.
    pub name: String,
    /// What it finds.
    #[serde(default)]
    pub task: Task,
    /// What it is good for.
    pub purpose: String,
    /// SPDX expression of its licenses.
    pub license: String,
    /// Whom to name.
    pub attribution: String,
    /// Size of the download.
    pub megabytes: u32,
    config: Option<String>,
    #[serde(rename = "part")]
    parts: Vec<Part>,
}

/// Files that come from the same repository.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    #[serde(default)]
    folder: String,
    repositories: Vec<String>,
    publisher: Option<String>,
    files: Vec<File>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    path: String,
    size: Option<u64>,
    sha256: Option<String>,
}

impl Catalogue {
    /// Reads the list of this crate, or the one that `DIARIZE_CATALOGUE` names.
    ///
    /// # Errors
    /// The named file cannot be read or is not a valid list.
    pub fn open() -> Result<Self> {
        let Some(path) = named(VARIABLE) else { return Self::parse(BUNDLED, Path::new("catalogue.toml")) };
        let text = fs::read_to_string(&path).map_err(|source| Error::Catalogue {
            path: path.clone(),
            problem: format!(
                "it cannot be read ({source}), but the environment variable {VARIABLE} names it"
            ),
        })?;
        Self::parse(&text, &path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self> {
        let wrong = |problem: String| Error::Catalogue { path: path.to_owned(), problem };
        let catalogue: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().map_or("", |span| &text[..span.start]);
            wrong(format!(
                "line {}: {}",
                before.matches('\n').count() + 1,
                error.message().replace('\n', ", ")
            ))
        })?;
        for (index, model) in catalogue.models.iter().enumerate() {
            let earlier = &catalogue.models[..index];
            let twice = earlier.iter().any(|other| other.name == model.name);
            let problem = model
                .problem()
                .or_else(|| twice.then(|| "two models have this name".to_owned()))
                .or_else(|| catalogue.missing_license(model));
            if let Some(problem) = problem {
                return Err(wrong(format!("model {:?}: {problem}", model.name)));
            }
        }
        Ok(catalogue)
    }

    /// The models, in the order of the list.
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// The model with this name.
    pub fn find(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }

    fn missing_license(&self, model: &Model) -> Option<String> {
        let missing = model.licenses().find(|license| !self.licenses.contains_key(*license))?;
        Some(format!("[licenses] has no text of {missing}"))
    }
}

impl Model {
    /// Where the model is, if it is on this machine and complete: with all its files, to their ends.
    pub fn installed(&self) -> Option<PathBuf> {
        let directory = self.directory();
        if self.task == Task::Transcribe {
            let complete = self.files().all(|file| recognizer::check(&directory.join(file)).is_ok());
            return complete.then_some(directory);
        }
        let files = ModelFiles::read(&directory).ok()?;
        let weights = [Some(&files.segmentation), Some(&files.embedding), files.plda.as_ref()];
        let complete =
            weights.into_iter().flatten().all(|file| SafeTensors::deserialize(&file.bytes).is_ok());
        complete.then_some(directory)
    }

    /// The original repositories that ask for an account, without revisions.
    pub fn publishers(&self) -> Vec<&str> {
        self.parts.iter().filter_map(|part| part.publisher.as_deref()).map(without_revision).collect()
    }

    /// The repositories that are tried for each part of the model.
    fn repositories(&self, origin: Origin) -> Vec<Vec<&str>> {
        let of = |part| Part::sources(part, origin).into_iter().map(without_revision).collect();
        self.parts.iter().map(of).collect()
    }

    /// The paths of its files.
    fn files(&self) -> impl Iterator<Item = String> {
        self.parts.iter().flat_map(Part::paths)
    }

    fn directory(&self) -> PathBuf {
        folder().join(&self.name)
    }

    /// The SPDX identifiers of the licenses.
    fn licenses(&self) -> impl Iterator<Item = &str> {
        self.license.split(" AND ")
    }

    /// What is wrong with the entry. Its names become parts of paths and URLs.
    fn problem(&self) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if self.name.is_empty() || self.name.starts_with(['.', '-']) || !self.name.bytes().all(plain) {
            return Some(
                "a name consists of letters, digits, `-`, `_` and `.`, and begins with none of `-` and `.`"
                    .to_owned(),
            );
        }
        if self.name == ledger::FILE {
            return Some("this is the name of the record of downloads".to_owned());
        }
        if self.license.trim().is_empty() {
            return Some("its license is empty".to_owned());
        }
        let hashes = self.parts.iter().flat_map(|part| &part.files).filter_map(|file| file.sha256.as_deref());
        let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(hash) = hashes.into_iter().find(|hash| !is_hash(hash)) {
            return Some(format!("{hash:?} is not a SHA-256, which has 64 hexadecimal digits"));
        }
        let mut files: Vec<String> = self.files().collect();
        if let Some(file) = files.iter().find(|file| check_file(file).is_err()) {
            return Some(format!("{file:?} is not a path inside the model"));
        }
        let repositories = self.parts.iter().flat_map(|part| part.repositories.iter().chain(&part.publisher));
        if let Some(repository) = repositories.into_iter().find(|name| !is_repo_id(name)) {
            return Some(format!("{repository:?} is not the name of a repository"));
        }
        if self.parts.iter().any(|part| part.repositories.is_empty()) {
            return Some("a part has no repository".to_owned());
        }
        match &self.config {
            Some(config) if !names_a_pipeline(config.as_bytes()) => {
                return Some("config is not the configuration of a pipeline".to_owned());
            }
            Some(_) => files.push(CONFIG.to_owned()),
            None => {}
        }
        files.sort();
        if let Some(pair) = files.windows(2).find(|pair| pair[0] == pair[1]) {
            return Some(format!("there are two files {:?}", pair[0]));
        }
        let has = |name: &str| files.iter().any(|file| file == name);
        match self.task {
            Task::Diarize => (!has(CONFIG)).then(|| format!("it has neither config nor a file {CONFIG}")),
            Task::Transcribe if self.config.is_some() => {
                Some("config is for models that find out who speaks when".to_owned())
            }
            Task::Transcribe => {
                let missing = recognizer::FILES.iter().find(|name| !has(name))?;
                Some(format!("it has no file {missing}"))
            }
        }
    }
}

impl Part {
    /// The paths of the files in the pipeline.
    fn paths(&self) -> impl Iterator<Item = String> {
        self.files.iter().map(|file| self.place(file))
    }

    fn place(&self, file: &File) -> String {
        match self.folder.as_str() {
            "" => file.path.clone(),
            folder => format!("{folder}/{}", file.path),
        }
    }

    /// The repositories to try, in order.
    fn sources(&self, origin: Origin) -> Vec<&str> {
        match (origin, &self.publisher) {
            (Origin::Publisher, Some(publisher)) => vec![publisher],
            _ => self.repositories.iter().map(String::as_str).collect(),
        }
    }
}

/// The model that diarizes and has this name, if the catalogue has one. A name of a hub repository is never one.
pub(crate) fn find(name: &str) -> Result<Option<Model>> {
    if name.contains(['/', '\\']) {
        return Ok(None);
    }
    match Catalogue::open()?.find(name) {
        Some(Model { task: Task::Transcribe, .. }) => Err(Error::FindsWords { name: name.to_owned() }),
        model => Ok(model.cloned()),
    }
}

/// The name of the model that consists of the files of one publisher's repository.
pub(crate) fn of_publisher(repository: &str) -> Option<String> {
    let catalogue = Catalogue::open().ok()?;
    let same =
        |model: &&Model| model.parts.len() == 1 && model.publishers() == [without_revision(repository)];
    catalogue.models.iter().find(same).map(|model| model.name.clone())
}

/// The folder for downloaded models: `DIARIZE_MODELS`, else `diarize/models` in `XDG_DATA_HOME`, else in `.local/share` of the
/// home directory.
pub fn folder() -> PathBuf {
    named("DIARIZE_MODELS").unwrap_or_else(|| {
        named("XDG_DATA_HOME")
            .unwrap_or_else(|| env::home_dir().unwrap_or_default().join(".local/share"))
            .join("diarize/models")
    })
}

fn named(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn without_revision(repository: &str) -> &str {
    repository.split('@').next().unwrap_or(repository)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{BUNDLED, Catalogue};

    #[test]
    fn the_list_of_this_crate_is_valid() {
        let catalogue = Catalogue::parse(BUNDLED, Path::new("catalogue.toml")).unwrap();
        assert_eq!(
            catalogue.find("community-1").unwrap().publishers(),
            ["pyannote/speaker-diarization-community-1"]
        );
        let files = catalogue.models().iter().flat_map(|model| &model.parts).flat_map(|part| &part.files);
        let hashes: Vec<_> = files.filter_map(|file| file.sha256.as_ref()).collect();
        assert!(hashes.len() >= 5 && hashes.iter().all(|hash| hash.len() == 64));
    }
}
