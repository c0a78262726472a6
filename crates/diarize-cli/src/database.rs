//! The file of named voices.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use diarize::{model::ModelFiles, voices::Voices};

use crate::{
    failure::reason,
    lock::Lock,
    output::{check_file, write_atomically},
    text,
};

/// Its default name.
pub const DEFAULT: &str = "speakers.safetensors";

/// Voices and the file that stores them.
#[derive(Clone, Debug)]
pub struct Database {
    path: PathBuf,
    /// The voices.
    pub voices: Voices,
}

impl Database {
    /// Reads a file.
    ///
    /// # Errors
    /// If the file cannot be read or is not a file of voices.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let bytes = text::read_bytes(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                anyhow!("there are no voices in {} yet: add one with `diarize enroll NAME CLIP`", name())
            }
            _ => anyhow!("cannot read the voices in {}: {}", name(), reason(&error)),
        })?;
        Ok(Self { path: path.to_owned(), voices: Voices::from_bytes(&bytes).with_context(name)? })
    }

    /// Reads a file of voices and checks that they belong to this model.
    ///
    /// # Errors
    /// As [`Self::read`], and if the voices belong to another model.
    pub fn for_model(path: &Path, model: &ModelFiles) -> anyhow::Result<Self> {
        let database = Self::read(path)?;
        let (theirs, ours) = (&database.voices.fingerprint, model.embedding_fingerprint()?);
        if *theirs != ours {
            let (path, their_name, our_name) = (path.display(), &database.voices.model, &model.manifest.name);
            let again = "enroll the speakers again into another file";
            if their_name == our_name {
                bail!(
                    "{path} contains voices of another version of the model {our_name} ({theirs}), which cannot be compared \
                     with those of this one ({ours}): {again}"
                );
            }
            bail!(
                "{path} contains voices of the model {their_name} ({theirs}), which cannot be compared with those of \
                 {our_name} ({ours}): choose that model with --model, or {again}"
            );
        }
        Ok(database)
    }

    /// The same, but an empty database if the file does not exist yet.
    ///
    /// # Errors
    /// As [`Self::for_model`].
    pub fn for_model_or_new(path: &Path, model: &ModelFiles) -> anyhow::Result<Self> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                check_file(path).map_err(|why| anyhow!(why))?;
                let voices = Voices::new(&model.manifest.name, model.embedding_fingerprint()?);
                Ok(Self { path: path.to_owned(), voices })
            }
            _ => Self::for_model(path, model),
        }
    }

    /// Reads the file again, changes the voices and writes it. Other processes that want to change it wait until then,
    /// and their earlier changes are kept.
    ///
    /// # Errors
    /// If the change fails, which leaves the file as it is, or the file cannot be read or written.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut Voices) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let _lock = Lock::of(&self.path)?;
        if self.path.exists() {
            let Self { voices, .. } = Self::read(&self.path)?;
            if voices.fingerprint != self.voices.fingerprint {
                bail!("{} now contains voices of another model", self.path.display());
            }
            self.voices = voices;
        }
        let result = change(&mut self.voices)?;
        write_atomically(&self.path, self.voices.to_bytes())
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(result)
    }

    /// The file and its number of speakers, as text.
    pub fn summary(&self) -> String {
        let count = self.voices.people.len();
        format!("{} now has {count} speaker{}", self.path.display(), if count == 1 { "" } else { "s" })
    }
}
