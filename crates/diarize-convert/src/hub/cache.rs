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
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use hf_hub::{CacheRepo, RepoType};

use super::{
    Fetched, HubError,
    name::{Repo, is_plain},
    part::Part,
};
use crate::write::replace;

/// How often to ask whether another process has released a lock.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The cache of one repository at one revision.
pub(super) struct Cache<'a> {
    repo: Repo<'a>,
    snapshots: CacheRepo,
    blobs: PathBuf,
    locks: PathBuf,
}

impl<'a> Cache<'a> {
    pub(super) fn new(cache: &Path, repo: Repo<'a>) -> Self {
        let id = format!("{}/{}", repo.owner, repo.name);
        let hub_repo = hf_hub::Repo::with_revision(id, RepoType::Model, repo.revision.to_owned());
        let folder = hub_repo.folder_name();
        Self {
            repo,
            snapshots: hf_hub::Cache::new(cache.to_owned()).repo(hub_repo),
            blobs: cache.join(&folder).join("blobs"),
            locks: cache.join(".locks").join(folder),
        }
    }

    /// A file at the repository's revision, if it is cached.
    pub(super) fn find(&self, file: &str) -> Option<Fetched> {
        self.at(&self.commit()?, file)
    }

    /// The folder with the files of the repository's revision, if there is one.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        Some(self.snapshots.pointer_path(&self.commit()?)).filter(|folder| folder.is_dir())
    }

    /// The commit of the repository's revision, if it is known.
    fn commit(&self) -> Option<String> {
        if self.repo.is_commit() {
            return Some(self.repo.revision.to_owned());
        }
        // Some programs end the line, which hf-hub would take for a part of the commit.
        let commit = fs::read_to_string(self.reference()).ok()?;
        Some(commit.trim()).filter(|commit| is_plain(commit)).map(str::to_owned)
    }

    /// A file at a commit, if it is cached.
    pub(super) fn at(&self, commit: &str, file: &str) -> Option<Fetched> {
        let path = Some(self.snapshot(commit, file)).filter(|path| path.is_file())?;
        Some(Fetched { path, commit: commit.to_owned() })
    }

    /// The path of the content with this ETag.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.blobs.join(etag)
    }

    /// Locks the download of an ETag against other processes, waiting as long as the other download advances. Dropping
    /// the returned file releases the lock.
    pub(super) fn lock(&self, etag: &str, patience: Duration) -> Result<File, HubError> {
        let path = self.locks.join(format!("{etag}.lock"));
        let failed = |source| HubError::Cache { path: path.clone(), source };
        let file = make_parent(&path).and_then(|()| File::create(&path)).map_err(failed)?;
        let downloaded = || fs::metadata(self.unfinished(etag)).map_or(0, |metadata| metadata.len());
        let (mut advanced, mut length, mut told) = (Instant::now(), downloaded(), false);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
                Err(TryLockError::WouldBlock) if advanced.elapsed() > patience => {
                    return Err(HubError::Locked { path: path.clone(), seconds: patience.as_secs() });
                }
                Err(TryLockError::WouldBlock) => {}
            }
            if !std::mem::replace(&mut told, true) {
                tracing::warn!("waiting for another process that downloads the same file");
            }
            thread::sleep(ASK_EVERY);
            let now = downloaded();
            if now != length {
                (advanced, length) = (Instant::now(), now);
            }
        }
    }

    fn unfinished(&self, etag: &str) -> PathBuf {
        self.blobs.join(format!("{etag}.incomplete"))
    }

    /// Opens the unfinished download of an ETag, which may be empty.
    pub(super) fn part(&self, etag: &str) -> Result<Part, HubError> {
        let path = self.unfinished(etag);
        make_parent(&path).map_err(|source| HubError::Cache { path: path.clone(), source })?;
        Part::open(path)
    }

    /// Links the content of an ETag as a file of a commit, unless the file exists. Returns the file.
    pub(super) fn link(&self, commit: &str, file: &str, etag: &str) -> Result<Fetched, HubError> {
        let path = self.snapshot(commit, file);
        let linked = if path.is_file() { Ok(()) } else { link(&self.blob(etag), etag, file, &path) };
        match linked {
            Ok(()) => Ok(Fetched { path, commit: commit.to_owned() }),
            Err(source) => Err(HubError::Cache { path, source }),
        }
    }

    /// Records the commit of a branch or tag, unless a file of that commit is found already.
    pub(super) fn record(&self, commit: &str, file: &str) -> Result<(), HubError> {
        if self.repo.is_commit() || self.find(file).is_some_and(|found| found.commit == commit) {
            return Ok(());
        }
        let path = self.reference();
        // hf-hub would overwrite the file in place, and another process could find it empty.
        let written = make_parent(&path).and_then(|()| replace(&path, commit.as_bytes()));
        written.map_err(|source| HubError::Cache { path, source })
    }

    /// The file with the commit of a branch or tag.
    fn reference(&self) -> PathBuf {
        self.blobs.with_file_name("refs").join(self.repo.revision)
    }

    fn snapshot(&self, commit: &str, file: &str) -> PathBuf {
        self.snapshots.pointer_path(commit).join(file)
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

#[cfg(test)]
mod tests {
    use std::{
        fs, thread,
        time::{Duration, Instant},
    };

    use tempfile::tempdir;

    use super::Cache;
    use crate::hub::{HubError, name::Repo};

    #[test]
    fn a_lock_is_waited_for_only_while_the_download_advances() {
        let folder = tempdir().unwrap();
        let cache = || Cache::new(folder.path(), Repo::parse("org/model").unwrap());
        let patience = Duration::from_millis(400);
        let held = cache().lock("etag", patience).unwrap();
        let begin = Instant::now();
        let download = thread::spawn({
            let path = cache().unfinished("etag");
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            move || {
                for length in 1..=10 {
                    fs::write(&path, vec![0; length]).unwrap();
                    thread::sleep(Duration::from_millis(100));
                }
            }
        });
        assert!(matches!(cache().lock("etag", patience), Err(HubError::Locked { .. })));
        assert!(begin.elapsed() > Duration::from_secs(1), "the download advanced meanwhile");
        download.join().unwrap();
        drop(held);
        cache().lock("etag", patience).unwrap();
    }
}
