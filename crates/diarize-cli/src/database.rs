//! The file of the voices that have names.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use diarize::{model::ModelFiles, voices::Voices};

use crate::output::write_atomically;

/// What it is called where nobody says otherwise.
pub const DEFAULT: &str = "speakers.safetensors";

/// Voices and the file that they are kept in.
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
    /// A file that cannot be read or is none of voices.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let name = || path.display().to_string();
        let bytes = fs::read(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                anyhow!("there are no voices in {} yet: `diarize enroll NAME CLIP` keeps one", name())
            }
            _ => anyhow!("cannot read the voices in {}: {error}", name()),
        })?;
        Ok(Self { path: path.to_owned(), voices: Voices::from_bytes(&bytes).with_context(name)? })
    }

    /// Reads a file of voices that this model can be compared with.
    ///
    /// # Errors
    /// As [`Self::read`]; voices of another model.
    pub fn of_model(path: &Path, model: &ModelFiles) -> anyhow::Result<Self> {
        let database = Self::read(path)?;
        let (theirs, ours) = (&database.voices.fingerprint, model.embedding_fingerprint()?);
        if *theirs != ours {
            bail!(
                "{} holds voices of the model {} ({theirs}), which those of {} ({ours}) cannot be compared with: \
                 choose that model with --model, or enroll the speakers again into another file",
                path.display(),
                database.voices.model,
                model.manifest.name,
            );
        }
        Ok(database)
    }

    /// The same, or nobody where there is no such file yet.
    ///
    /// # Errors
    /// As [`Self::of_model`].
    pub fn of_model_or_new(path: &Path, model: &ModelFiles) -> anyhow::Result<Self> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let voices = Voices::new(&model.manifest.name, model.embedding_fingerprint()?);
                Ok(Self { path: path.to_owned(), voices })
            }
            _ => Self::of_model(path, model),
        }
    }

    /// Writes the file as a whole or not at all.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn save(&self) -> anyhow::Result<()> {
        write_atomically(&self.path, self.voices.to_bytes())
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// The file and how many it knows, in words.
    pub fn summary(&self) -> String {
        let count = self.voices.people.len();
        format!("{} knows {count} speaker{}", self.path.display(), if count == 1 { "" } else { "s" })
    }
}
