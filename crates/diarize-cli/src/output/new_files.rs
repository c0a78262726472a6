//! New audio files in a directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::inputs;

/// Files that appear in a directory once all of them are complete. They never replace a file.
#[derive(Debug)]
pub struct NewFiles {
    folder: PathBuf,
    /// Where the files are until then; deleted on drop.
    temporary: TempDir,
}

/// Checks that audio files can be written to a directory, which may not exist yet, without mixing with others. The error
/// is a message for the user.
pub fn check_new_folder(folder: &Path) -> Result<(), String> {
    if folder.is_file() || !folder.is_dir() && inputs::has_audio_extension(folder) {
        return Err(format!(
            "--output {} is a file, but there is a file for each speaker: name a directory",
            folder.display()
        ));
    }
    let names = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let is_wave =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wav"));
    match names.filter(is_wave).min() {
        Some(file) => Err(format!(
            "{} exists and could be overwritten: name a new directory for --output",
            file.display()
        )),
        None => Ok(()),
    }
}

impl NewFiles {
    /// Creates the directory, if it does not exist.
    pub fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let temporary = tempfile::Builder::new().prefix(".").suffix(".partial").tempdir_in(folder)?;
        Ok(Self { folder: folder.to_owned(), temporary })
    }

    /// Where to write the file with this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.temporary.path().join(name)
    }

    /// Moves the files with these names to the directory, and returns their paths.
    pub fn publish(self, names: &[String]) -> anyhow::Result<Vec<PathBuf>> {
        let paths: Vec<PathBuf> = names.iter().map(|name| self.folder.join(name)).collect();
        if let Some(path) = paths.iter().find(|path| path.exists()) {
            bail!("{} exists and is not overwritten: name a new directory", path.display());
        }
        for (name, path) in names.iter().zip(&paths) {
            fs::rename(self.path(name), path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(paths)
    }
}
