//! Where inputs come from: directories, and repositories of a hub.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{Error, Result, hub::is_repo_id};

/// Gets one file of a hub repository: its name, or `name@revision`, and the path of the file in it.
/// Gives the path of the file on the disk.
pub type Fetch<'a> = dyn FnMut(&str, &str) -> Result<PathBuf> + 'a;

/// The largest file that is read.
const MAX_FILE: u64 = 8 << 30;

/// Names that checkpoints have in a directory, in the order in which they are looked for.
const CHECKPOINTS: [&str; 3] = ["pytorch_model.bin", "model.safetensors", "avg_model.pt"];

/// The only name that pyannote looks for on a hub.
pub(crate) const HUB_CHECKPOINT: &str = CHECKPOINTS[0];

/// A directory, or a folder of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Directory(PathBuf),
    Repository { name: String, folder: String },
}

impl Place {
    /// A repository, if `name` can be that of one: `owner/name` or `owner/name@revision`.
    pub(crate) fn repository(name: &str) -> Option<Self> {
        is_repo_id(name).then(|| Self::Repository { name: name.to_owned(), folder: String::new() })
    }

    /// What is called `path` inside this place.
    pub(crate) fn join(&self, path: &str) -> Self {
        match self {
            Self::Directory(directory) => Self::Directory(directory.join(path)),
            Self::Repository { name, folder } => {
                Self::Repository { name: name.clone(), folder: slashed(folder, path) }
            }
        }
    }

    /// What people call this place: nothing of where it lies on this computer.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Directory(path) => file_name(path),
            Self::Repository { name, folder } => slashed(name, folder),
        }
    }
}

fn slashed(front: &str, back: &str) -> String {
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

/// Reads inputs and keeps account of them.
pub(crate) struct Sources<'a, 'f> {
    fetch: &'a mut Fetch<'f>,
    /// SHA-256 of each file read, by name.
    pub(crate) inputs: BTreeMap<String, String>,
    licences: BTreeSet<String>,
}

impl<'a, 'f> Sources<'a, 'f> {
    pub(crate) fn new(fetch: &'a mut Fetch<'f>) -> Self {
        Self { fetch, inputs: BTreeMap::new(), licences: BTreeSet::new() }
    }

    /// Reads a file of a place and takes down its hash.
    pub(crate) fn read(&mut self, place: &Place, file: &str) -> Result<Bytes> {
        let bytes = self.peek(place, file)?;
        let name = slashed(&place.name(), file);
        self.inputs.insert(name, hex(&Sha256::digest(&bytes.content)));
        Ok(bytes)
    }

    /// Reads a file of a place to see what it is.
    pub(crate) fn peek(&mut self, place: &Place, file: &str) -> Result<Bytes> {
        let path = match place {
            Place::Directory(directory) => directory.join(file),
            Place::Repository { name, folder } => (self.fetch)(name, &slashed(folder, file))?,
        };
        let content = read(&path)?;
        Ok(Bytes { path, content })
    }

    /// Reads the checkpoint of a place: of a directory or repository, or a file itself.
    pub(crate) fn checkpoint(&mut self, place: &Place) -> Result<Bytes> {
        self.note_licence(place);
        match place {
            Place::Repository { .. } => self.read(place, HUB_CHECKPOINT),
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

    /// Takes down the licence that the README of a place states, if there is one.
    pub(crate) fn note_licence(&mut self, place: &Place) {
        const README: &str = "README.md";
        let path = match place {
            Place::Directory(path) => Some(path.join(README)),
            // A model without a README is no worse: what matters is asked for again.
            Place::Repository { name, .. } => (self.fetch)(name, README).ok(),
        };
        let text =
            path.and_then(|path| read(&path).ok()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        self.licences.extend(text.and_then(|text| stated_licence(&text)));
    }

    /// The licences of all places together, as an SPDX expression.
    pub(crate) fn licence(&self) -> String {
        match self.licences.is_empty() {
            true => "unknown: see the source".into(),
            false => self.licences.iter().cloned().collect::<Vec<_>>().join(" AND "),
        }
    }
}

/// The name of the checkpoint in a directory, if it has one.
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
    Ok(found.pop().filter(|_| found.is_empty()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    match size > MAX_FILE {
        true => Err(Error::TooLarge { path: path.to_owned(), size, limit: MAX_FILE }),
        false => fs::read(path).map_err(unreadable),
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `license:` in the front matter of a model card, as SPDX writes it.
fn stated_licence(readme: &str) -> Option<String> {
    let (front_matter, _) = readme.strip_prefix("---")?.split_once("\n---")?;
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
    use super::stated_licence;

    #[test]
    fn a_licence_is_read_from_a_model_card() {
        assert_eq!(stated_licence("---\ntags:\n- a\nlicense: mit\n---\n# Model"), Some("MIT".into()));
        assert_eq!(stated_licence("---\nlicense: 'cc-by-4.0'\n---\n"), Some("CC-BY-4.0".into()));
        assert_eq!(stated_licence("license: mit\n"), None);
        assert_eq!(stated_licence("---\ntags: []\n---\nlicense: mit\n"), None);
    }
}
