//! The file cache. Its layout is that of Python's `huggingface_hub`, so that each finds the other's files:
//!
//! ```text
//! models--org--name/refs/main               the commit of a branch or tag
//! models--org--name/snapshots/COMMIT/FILE   a link to the blob
//! models--org--name/blobs/ETAG              the content, named by the hub's hash
//! models--org--name/blobs/ETAG.incomplete   an unfinished download
//! .locks/models--org--name/ETAG.lock        held during the download
//! ```

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::{
    HubError,
    name::{Repo, is_plain},
    part::Part,
};

/// The cache of one repository.
pub(super) struct Cache {
    root: PathBuf,
    locks: PathBuf,
}

impl Cache {
    pub(super) fn new(cache: &Path, repo: &Repo) -> Self {
        let folder = format!("models--{}--{}", repo.owner, repo.name);
        Self { root: cache.join(&folder), locks: cache.join(".locks").join(folder) }
    }

    /// The path of a file at the repository's revision, if it is cached.
    pub(super) fn find(&self, repo: &Repo, file: &str) -> Option<PathBuf> {
        if repo.is_commit() { self.at(repo.revision, file) } else { self.at(&self.commit(repo)?, file) }
    }

    /// The path of a file at a commit, if it is cached.
    pub(super) fn at(&self, commit: &str, file: &str) -> Option<PathBuf> {
        Some(self.snapshot(commit, file)).filter(|path| path.is_file())
    }

    /// The path of the content with this ETag.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// Locks the download of an ETag against other processes, waiting if necessary. Dropping the returned file
    /// releases the lock.
    pub(super) fn lock(&self, etag: &str) -> Result<File, HubError> {
        let path = self.locks.join(format!("{etag}.lock"));
        let locked = make_parent(&path).and_then(|()| File::create(&path)).and_then(|file| {
            file.lock()?;
            Ok(file)
        });
        locked.map_err(|source| HubError::Cache { path, source })
    }

    /// Opens the unfinished download of an ETag, which may be empty.
    pub(super) fn part(&self, etag: &str) -> Result<Part, HubError> {
        let path = self.root.join("blobs").join(format!("{etag}.incomplete"));
        make_parent(&path).map_err(|source| HubError::Cache { path: path.clone(), source })?;
        Part::open(path)
    }

    /// Links the content of an ETag as a file of a commit, unless the file exists. Returns its path.
    pub(super) fn link(&self, commit: &str, file: &str, etag: &str) -> Result<PathBuf, HubError> {
        let path = self.snapshot(commit, file);
        let linked = if path.is_file() { Ok(()) } else { link(&self.blob(etag), etag, file, &path) };
        match linked {
            Ok(()) => Ok(path),
            Err(source) => Err(HubError::Cache { path, source }),
        }
    }

    /// Records the commit of a branch or tag.
    pub(super) fn record(&self, repo: &Repo, commit: &str) -> Result<(), HubError> {
        if repo.is_commit() || self.commit(repo).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.reference(repo);
        let written = make_parent(&path).and_then(|()| fs::write(&path, commit));
        written.map_err(|source| HubError::Cache { path, source })
    }

    /// The recorded commit of a branch or tag.
    fn commit(&self, repo: &Repo) -> Option<String> {
        let recorded = fs::read_to_string(self.reference(repo)).ok()?;
        Some(recorded.trim()).filter(|commit| is_plain(commit)).map(str::to_owned)
    }

    fn snapshot(&self, commit: &str, file: &str) -> PathBuf {
        self.root.join("snapshots").join(commit).join(file)
    }

    fn reference(&self, repo: &Repo) -> PathBuf {
        self.root.join("refs").join(repo.revision)
    }
}

/// Creates `path` as a relative symbolic link to the blob. Falls back to a hard link or a copy if the file system
/// does not support symbolic links.
fn link(blob: &Path, etag: &str, file: &str, path: &Path) -> io::Result<()> {
    make_parent(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let up = "../".repeat(2 + file.matches('/').count());
    symbolic_link(&format!("{up}blobs/{etag}"), path).or_else(|_| fs::hard_link(blob, path)).or_else(|_| {
        let mut copy = path.as_os_str().to_owned();
        copy.push(".incomplete");
        fs::copy(blob, &copy)?;
        fs::rename(&copy, path)
    })
}

#[cfg(unix)]
fn symbolic_link(target: &str, path: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, path)
}

#[cfg(not(unix))]
fn symbolic_link(_: &str, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}
