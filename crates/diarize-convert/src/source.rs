//! The sources of input files: directories and hub repositories.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use diarize::model::StandIn;
use sha2::{Digest, Sha256};

use crate::{
    Error, Problem, Result,
    hub::{HubError, is_repo_id},
};

/// Fetches one file of a hub repository. Takes the name of the repository, `owner/name` or
/// `owner/name@revision`, and the path of the file in it. Returns the local path of the file.
pub type Fetch<'a> = dyn FnMut(&str, &str) -> Result<PathBuf> + 'a;

/// Maximum size of an input file in bytes.
pub(crate) const MAX_FILE: u64 = 8 << 30;

/// File names of checkpoints, in order of preference.
const CHECKPOINTS: [&str; 6] =
    ["pytorch_model.bin", "model.safetensors", "avg_model.pt", "avg_model", "model.onnx", "model.int8.onnx"];

/// A local path, or a folder in a hub repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Directory(PathBuf),
    Repository { name: String, folder: String },
}

impl Place {
    /// The repository `name`, if this has the form `owner/name` or `owner/name@revision`.
    pub(crate) fn repository(name: &str) -> Option<Self> {
        is_repo_id(name).then(|| Self::Repository { name: name.to_owned(), folder: String::new() })
    }

    /// The place at `path` inside this place.
    pub(crate) fn join(&self, path: &str) -> Self {
        match self {
            Self::Directory(directory) => Self::Directory(directory.join(path)),
            Self::Repository { name, folder } => {
                Self::Repository { name: name.clone(), folder: join_path(folder, path) }
            }
        }
    }

    /// A name for this place that does not reveal local paths.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Directory(path) => file_name(path),
            Self::Repository { name, folder } => join_path(name, folder),
        }
    }
}

fn join_path(front: &str, back: &str) -> String {
    [front, back].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
}

/// The last part of a path.
pub(crate) fn file_name(path: &Path) -> String {
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    absolute.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A file in memory.
pub(crate) struct Bytes {
    pub(crate) path: PathBuf,
    pub(crate) content: Vec<u8>,
}

/// Reads input files and records their hashes and licenses.
pub(crate) struct Sources<'a, 'f> {
    fetch: &'a mut Fetch<'f>,
    /// SHA-256 of each input file, by name.
    pub(crate) inputs: BTreeMap<String, String>,
    licenses: BTreeSet<String>,
}

impl<'a, 'f> Sources<'a, 'f> {
    pub(crate) fn new(fetch: &'a mut Fetch<'f>) -> Self {
        Self { fetch, inputs: BTreeMap::new(), licenses: BTreeSet::new() }
    }

    /// Reads a file of a place and records its hash.
    pub(crate) fn read(&mut self, place: &Place, file: &str) -> Result<Bytes> {
        let bytes = self.peek(place, file)?;
        let name = join_path(&place.name(), file);
        self.inputs.insert(name, hex(&Sha256::digest(&bytes.content)));
        Ok(bytes)
    }

    /// Reads a file of a place without recording it.
    pub(crate) fn peek(&mut self, place: &Place, file: &str) -> Result<Bytes> {
        let path = match place {
            Place::Directory(directory) => directory.join(file),
            Place::Repository { name, folder } => (self.fetch)(name, &join_path(folder, file))?,
        };
        let content = read(&path)?;
        Ok(Bytes { path, content })
    }

    /// Reads the checkpoint of a place, which is a directory, a repository or the checkpoint file itself.
    pub(crate) fn checkpoint(&mut self, place: &Place) -> Result<Bytes> {
        self.note_license(place);
        match place {
            Place::Repository { .. } => self.checkpoint_of_repository(place),
            Place::Directory(path) if path.is_dir() => match checkpoint_in(path)? {
                Some(name) => self.read(place, &name),
                None => Err(Error::EmptyDirectory { path: path.clone() }),
            },
            Place::Directory(file) => {
                let parent = file.parent().unwrap_or(Path::new("")).to_owned();
                self.read(&Place::Directory(parent), &file.file_name().unwrap_or_default().to_string_lossy())
            }
        }
    }

    /// Reads the first checkpoint that a repository has. If it has none, the error is about the usual name.
    fn checkpoint_of_repository(&mut self, place: &Place) -> Result<Bytes> {
        let mut first = None;
        for name in CHECKPOINTS {
            match self.read(place, name) {
                Err(error @ Error::Hub(HubError::FileNotFound { .. } | HubError::Offline { .. })) => {
                    first.get_or_insert(error);
                }
                outcome => return outcome,
            }
        }
        Err(first.expect("there is a name to try"))
    }

    /// Records the license that the README of a place states, if there is one.
    pub(crate) fn note_license(&mut self, place: &Place) {
        const README: &str = "README.md";
        let path = match place {
            Place::Directory(path) => Some(path.join(README)),
            // The README is optional. A connection problem will show when the weights are fetched.
            Place::Repository { name, .. } => (self.fetch)(name, README).ok(),
        };
        let text =
            path.and_then(|path| read(&path).ok()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        self.licenses.extend(text.and_then(|text| stated_license(&text)));
    }

    /// The licenses of all places, combined into one SPDX expression.
    pub(crate) fn license(&self) -> String {
        match self.licenses.is_empty() {
            true => "unknown: see the source".into(),
            false => self.licenses.iter().cloned().collect::<Vec<_>>().join(" AND "),
        }
    }
}

/// The file name of the checkpoint in a directory, if there is one.
pub(crate) fn checkpoint_in(directory: &Path) -> Result<Option<String>> {
    if let Some(name) = CHECKPOINTS.into_iter().find(|name| directory.join(name).is_file()) {
        return Ok(Some(name.to_owned()));
    }
    let unreadable = |source| Error::Read { path: directory.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".ckpt") {
            found.push(name);
        }
    }
    if found.len() > 1 {
        return Err(Error::SeveralCheckpoints { path: directory.to_owned() });
    }
    Ok(found.pop())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    let size = metadata.len();
    if size > MAX_FILE {
        return Err(Error::TooLarge { path: path.to_owned(), size, limit: MAX_FILE });
    }
    // Opening a pipe could wait forever.
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(Problem::Special.at(path));
    }
    let content = fs::read(path).map_err(unreadable)?;
    match StandIn::of(&content) {
        Some(stand_in) => Err(Problem::from(stand_in).at(path)),
        None => Ok(content),
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The SPDX identifier of the `license:` field in the front matter of a model card.
fn stated_license(readme: &str) -> Option<String> {
    let (front_matter, _) = readme.trim_start_matches('\u{feff}').strip_prefix("---")?.split_once("\n---")?;
    let stated = front_matter.lines().find_map(|line| line.strip_prefix("license:"))?.trim();
    let stated = stated.trim_matches(['"', '\'']);
    Some(match stated {
        "" => return None,
        "apache-2.0" => "Apache-2.0".into(),
        other if other == "mit" || other.starts_with("cc") => other.to_uppercase(),
        other => other.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::stated_license;

    #[test]
    fn reads_the_license_of_a_model_card() {
        assert_eq!(stated_license("---\ntags:\n- a\nlicense: mit\n---\n# Model"), Some("MIT".into()));
        assert_eq!(stated_license("---\nlicense: 'cc-by-4.0'\n---\n"), Some("CC-BY-4.0".into()));
        assert_eq!(stated_license("\u{feff}---\nlicense: mit\n---\n"), Some("MIT".into()));
        assert_eq!(stated_license("license: mit\n"), None);
        assert_eq!(stated_license("---\ntags: []\n---\nlicense: mit\n"), None);
    }
}
