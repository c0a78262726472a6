//! Downloads and verifies a model of the catalogue, and converts it unless it finds words.

use std::{
    collections::BTreeMap,
    fs::{self, TryLockError},
    io,
    path::{Path, PathBuf},
};

use diarize::model::ModelFiles;
use tempfile::Builder;

use super::{Catalogue, Model, Part, Task, folder, ledger, recognizer};
use crate::{
    ConvertOptions, Converted, Error, Precision, Result,
    hub::{self, Expected, HubError, Settings, fetch_expected},
    pipeline::{self, CONFIG},
    source::{Place, Sources},
    write::{check_networks, replace},
};

/// File name of the notice about licenses, beside the model.
const NOTICE: &str = "LICENSE.txt";

/// Names of folders with unfinished models begin with this.
const UNFINISHED: &str = ".unfinished-";

/// Where to download from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Public repositories, without an account.
    #[default]
    Mirrors,
    /// The publisher's own repositories, some of which need an account and a token.
    Publisher,
}

/// A model of the catalogue that was downloaded.
#[derive(Debug)]
pub struct Download {
    contents: Contents,
    notice: String,
}

#[derive(Debug)]
enum Contents {
    /// A converted pipeline, in memory.
    Pipeline(Box<ModelFiles>),
    /// The path of each file in the cache, by its place in the model.
    Files(BTreeMap<String, PathBuf>),
}

impl Download {
    /// Writes the model and the notice about its licenses to a directory.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(self, directory: &Path) -> Result<()> {
        let path = directory.join(NOTICE);
        fs::create_dir_all(directory)
            .and_then(|()| replace(&path, self.notice.as_bytes()))
            .map_err(|source| Error::Write { path, source })?;
        match self.contents {
            Contents::Pipeline(model) => Converted::Pipeline(model).write(directory, Precision::F32),
            Contents::Files(files) => files.into_iter().try_for_each(|(name, cached)| {
                let path = directory.join(name);
                copy(&cached, &path).map_err(|source| Error::Write { path, source })
            }),
        }
    }
}

/// Copies a file of the cache. Where both places are on one file system, they share its content.
fn copy(cached: &Path, path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let cached = cached.canonicalize()?; // A link to a link in the cache would become invalid with it.
    fs::hard_link(&cached, path).or_else(|_| fs::copy(&cached, path).map(drop))
}

impl Catalogue {
    /// Downloads a model into the user's folder for models and returns its directory. A model that is there already is left as
    /// it is; one that is incomplete is replaced. `progress` receives the repository and the progress of each file.
    ///
    /// # Errors
    /// No source has the expected files, the model is there from another origin, or the folder cannot be written. Then nothing
    /// of the model is left in the folder.
    pub fn install(
        &self,
        model: &Model,
        origin: Origin,
        settings: &Settings,
        progress: &mut dyn FnMut(&str, hub::Download),
    ) -> Result<PathBuf> {
        let (folder, directory) = (folder(), model.directory());
        let _lock = lock(&folder, ".lock")?;
        if model.installed().is_some() {
            return model.check_origin(origin).map(|()| directory);
        }
        let unwritable = |source| Error::Write { path: directory.clone(), source };
        remove_unfinished(&folder).map_err(unwritable)?;
        let download = self.download(model, origin, settings, progress)?;
        let unfinished = Builder::new().prefix(UNFINISHED).tempdir_in(&folder).map_err(unwritable)?;
        let finished = unfinished.path().join(&model.name);
        download.write(&finished)?;
        if directory.symlink_metadata().is_ok() {
            tracing::warn!("{} has no complete model and is replaced", directory.display());
            fs::rename(&directory, unfinished.path().join("replaced")).map_err(unwritable)?;
        }
        fs::rename(&finished, &directory).map_err(unwritable)?;
        Ok(directory)
    }

    /// Removes a model from the user's folder for models, also one that is incomplete. Returns its directory, or `None` if there
    /// is none. The cache of the hub keeps the downloaded files.
    ///
    /// # Errors
    /// The folder cannot be changed.
    pub fn remove(&self, model: &Model) -> Result<Option<PathBuf>> {
        let (folder, directory) = (folder(), model.directory());
        if directory.symlink_metadata().is_err() {
            return Ok(None);
        }
        let _lock = lock(&folder, ".lock")?;
        let removed = Builder::new().prefix(UNFINISHED).tempdir_in(&folder).and_then(|unfinished| {
            // Another process sees the whole model or none.
            fs::rename(&directory, unfinished.path().join("removed"))?;
            unfinished.close()
        });
        match removed {
            Ok(()) => Ok(Some(directory)),
            Err(source) => Err(Error::Write { path: directory, source }),
        }
    }

    /// Downloads a model, and converts a pipeline.
    ///
    /// # Errors
    /// No source has the expected files, or they cannot be converted.
    pub fn download(
        &self,
        model: &Model,
        origin: Origin,
        settings: &Settings,
        progress: &mut dyn FnMut(&str, hub::Download),
    ) -> Result<Download> {
        let mut files = BTreeMap::new();
        let mut pending = Vec::new();
        let mut sources = Vec::new();
        for part in &model.parts {
            let (source, fetched) = part.fetch(model, origin, settings, progress)?;
            files.extend(fetched.files);
            pending.extend(fetched.pending);
            sources.push(source);
        }
        let sources = sources.join(", ");
        let notice = self.notice(model, &sources);
        let contents = match model.task {
            Task::Diarize => Contents::Pipeline(Box::new(converted(model, files, sources)?)),
            Task::Transcribe => {
                files.values().try_for_each(|path| recognizer::check(path))?;
                Contents::Files(files)
            }
        };
        ledger::record(&folder(), pending)?;
        Ok(Download { contents, notice })
    }
}

/// Converts the files of a pipeline.
fn converted(model: &Model, mut files: BTreeMap<String, PathBuf>, sources: String) -> Result<ModelFiles> {
    let mut config = tempfile::NamedTempFile::new().map_err(temporary)?;
    if let Some(text) = &model.config {
        io::Write::write_all(&mut config, text.as_bytes()).map_err(temporary)?;
        files.insert(CONFIG.to_owned(), config.path().to_owned());
    }
    let mut fetch = |page: &str, file: &str| {
        files.get(file).cloned().ok_or_else(|| {
            let (page, revision, file) = (page.to_owned(), String::new(), file.to_owned());
            HubError::FileNotFound { page, revision, file }.into()
        })
    };
    let place = Place::Repository { name: model.name.clone(), folder: String::new() };
    let mut converted =
        pipeline::convert(&place, CONFIG, &ConvertOptions::default(), &mut Sources::new(&mut fetch))?;
    converted.manifest.license = model.license.clone();
    converted.manifest.source = sources;
    check_networks(&converted)?;
    Ok(converted)
}

impl Model {
    /// Checks that the installed model comes from this origin.
    fn check_origin(&self, origin: Origin) -> Result<()> {
        if self.publishers().is_empty() {
            return Ok(());
        }
        let directory = self.directory();
        let source = ModelFiles::read(&directory)?.manifest.source;
        let used: Vec<&str> = source.split(", ").map(super::without_revision).collect();
        let known = self.repositories(Origin::Publisher);
        let from_publisher =
            known.len() == used.len() && known.iter().zip(&used).all(|(part, used)| part.contains(used));
        match origin == Origin::Publisher && !from_publisher {
            true => Err(Error::OtherOrigin { name: self.name.clone(), origin: source, directory }),
            false => Ok(()),
        }
    }
}

/// The files of a part on this machine.
#[derive(Default)]
struct Files {
    /// The path of each file, by its place in the pipeline.
    files: Vec<(String, PathBuf)>,
    /// The files whose hash the catalogue does not give.
    pending: Vec<ledger::Pending>,
}

impl Part {
    /// Fetches all files from the first source that has them. Also returns that source.
    fn fetch(
        &self,
        model: &Model,
        origin: Origin,
        settings: &Settings,
        progress: &mut dyn FnMut(&str, hub::Download),
    ) -> Result<(String, Files)> {
        let sources = self.sources(origin);
        let mut refused = Vec::new();
        for source in &sources {
            let mut outcome = self.fetch_from(source, settings, progress);
            if let Err(Error::Hub(error @ HubError::TokenRefused { .. })) = &outcome
                && self.publisher.as_deref() != Some(*source)
            {
                tracing::warn!("{error}; trying without a token");
                let settings = Settings { token: None, ..settings.clone() };
                outcome = self.fetch_from(source, &settings, progress);
            }
            match outcome {
                Ok(files) => {
                    for reason in refused {
                        tracing::warn!("{reason}; {source} has the file");
                    }
                    return Ok(((*source).to_owned(), files));
                }
                Err(Error::Hub(source @ HubError::Network { .. })) => {
                    let option = match model.task {
                        Task::Diarize => "--model",
                        Task::Transcribe => "--whisper",
                    };
                    let (name, source) = (model.name.clone(), Box::new(source));
                    return Err(Error::Unreachable { name, option, source });
                }
                Err(error) if !concerns_one_source(&error) => return Err(error),
                Err(error) => refused.push(error),
            }
        }
        let reasons = refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let name = model.name.clone();
        match (origin, &self.publisher) {
            (Origin::Mirrors, Some(_)) => Err(Error::NoMirror { name, reasons }),
            _ if refused.len() == 1 => Err(refused.remove(0)),
            _ => Err(Error::NoSource { name, reasons }),
        }
    }

    fn fetch_from(
        &self,
        source: &str,
        settings: &Settings,
        progress: &mut dyn FnMut(&str, hub::Download),
    ) -> Result<Files> {
        let mut files = Files::default();
        for file in &self.files {
            let expected =
                Expected { size: file.size, sha256: file.sha256.clone(), hash_of_hub: file.sha256.is_none() };
            let fetched = fetch_expected(settings, source, &file.path, &expected, &mut |download| {
                progress(source, download)
            })?;
            if file.sha256.is_none() {
                files.pending.push(ledger::check(&folder(), format!("{source}/{}", file.path), &fetched)?);
            }
            files.files.push((self.place(file), fetched.path));
        }
        Ok(files)
    }
}

/// Whether another source may have the file.
fn concerns_one_source(error: &Error) -> bool {
    match error {
        Error::Changed { .. } => true,
        Error::Hub(error) => !matches!(
            error,
            HubError::Network { .. }
                | HubError::Cache { .. }
                | HubError::Locked { .. }
                | HubError::InvalidEndpoint { .. }
                | HubError::InvalidProxy { .. }
        ),
        _ => false,
    }
}

/// Locks the folder against other processes, which is created if it does not exist. Dropping the returned file releases the
/// lock.
pub(super) fn lock(folder: &Path, name: &str) -> Result<fs::File> {
    let path = folder.join(name);
    let created = fs::create_dir_all(folder).and_then(|()| fs::File::create(&path));
    let file = created.map_err(|source| Error::Folder { path: folder.to_owned(), source })?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            tracing::warn!("waiting for another process that downloads a model");
            // A file system without locks: as if there were no other process.
            let _ = file.lock();
        }
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    Ok(file)
}

/// Removes what a process left that was killed. The folder is locked, so no other process uses it.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn temporary(source: io::Error) -> Error {
    Error::Write { path: std::env::temp_dir(), source }
}
