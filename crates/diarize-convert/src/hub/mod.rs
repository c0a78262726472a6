//! Fetches files of model repositories from the Hugging Face hub and other hubs with the same API.
//!
//! [`fetch`] returns the local path of a file, which it downloads into the cache if necessary. The cache and the
//! environment variables ([`Settings::from_env`]) are those of Python's `huggingface_hub`, so that each finds
//! the other's downloads.
//!
//! # Division of labor with hf-hub and ureq
//!
//! [`hf_hub`] defines the layout of the cache: the names of its folders, and how the commit of a branch is recorded.
//! [`ureq`] sends single requests and verifies certificates as the operating system does.
//! This module replaces hf-hub's own downloads, because hf-hub 0.5.0 differs in these points:
//!
//! - *Offline mode.* hf-hub ignores `HF_HUB_OFFLINE`.
//! - *Token.* hf-hub also sends the token to other ports of the hub's host. Here it is sent only to the same
//!   scheme, host and port.
//! - *Verification.* hf-hub checks no hash. Here a file gets its final name only after its hash has been checked:
//!   its SHA-256 or git's hash, whichever the ETag is. If the ETag is neither, the length is checked instead. A hub
//!   that announces no length either, or content that is compressed, is rejected.
//! - *Timeouts.* hf-hub waits forever. Here a connection on which no data arrives counts as interrupted, and the
//!   download is resumed.
//! - *Errors.* Here they say what to do, for example for gated repositories.

mod address;
mod cache;
mod client;
mod download;
mod error;
mod expected;
mod http;
mod metadata;
mod name;
mod part;
mod proxy;
mod settings;

use std::{path::PathBuf, time::Duration};

use cache::Cache;
use client::Client;
use download::Transfer;
use expected::Check;
use name::Repo;

pub use error::HubError;
pub(crate) use expected::{Expected, sha256};
pub(crate) use name::check_file;
pub use name::is_repo_id;
pub use settings::Settings;

/// How long to wait for another process whose download of the same file does not advance. Its own time limits are shorter.
const PATIENCE: Duration = Duration::from_secs(180);

/// The progress of a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The requested file.
    pub file: String,
    /// Number of bytes downloaded so far. It may decrease after an interruption.
    pub done: u64,
    /// Size of the file in bytes, if known.
    pub total: Option<u64>,
}

/// Returns the local path of a file of a model repository, using the settings from the environment.
///
/// `repo` is `org/name` or `org/name@revision`, and `file` is a path in the repository, such as
/// `embedding/pytorch_model.bin`. `progress` is called on this thread during a download, and never if the file is
/// cached.
///
/// # Errors
/// A name is invalid, the file is neither cached nor available from the hub, or the cache cannot be used.
pub fn fetch(repo: &str, file: &str, progress: &mut dyn FnMut(Download)) -> Result<PathBuf, HubError> {
    fetch_with(&Settings::from_env(), repo, file, progress)
}

/// Like [`fetch`], with explicit settings.
///
/// # Errors
/// Those of [`fetch`].
pub fn fetch_with(
    settings: &Settings,
    repo: &str,
    file: &str,
    progress: &mut dyn FnMut(Download),
) -> Result<PathBuf, HubError> {
    Ok(fetch_expected(settings, repo, file, &Expected::default(), progress)?.path)
}

/// The folder with the cached files of `org/name` or `org/name@revision`, if there is one.
pub fn snapshot(settings: &Settings, repo: &str) -> Option<PathBuf> {
    Cache::new(&settings.cache, Repo::parse(repo).ok()?).folder()
}

/// A file of a repository on this machine.
pub(crate) struct Fetched {
    pub(crate) path: PathBuf,
    /// The commit from which it comes.
    pub(crate) commit: String,
}

/// Like [`fetch_with`], but keeps only a file that is the expected one. A file that is already in the cache stays there.
pub(crate) fn fetch_expected(
    settings: &Settings,
    repo: &str,
    file: &str,
    expected: &Expected,
    progress: &mut dyn FnMut(Download),
) -> Result<Fetched, HubError> {
    let repo = Repo::parse(repo)?;
    let file = name::check_file(file)?;
    let check = expected.of(client::page(settings, repo), repo.revision, file);
    let cache = Cache::new(&settings.cache, repo);
    let cached = cache.find(file);
    match cached {
        Some(found) if settings.offline || repo.is_commit() && !check.needs_hub() => {
            check.file(&found.path)?;
            return Ok(found);
        }
        None if settings.offline => {
            return Err(HubError::Offline {
                page: client::page(settings, repo),
                file: file.to_owned(),
                cache: settings.cache.clone(),
            });
        }
        _ => {}
    }
    match (update(settings, repo, file, &check, &cache, progress), cached) {
        (Err(error), Some(found)) if error.allows_cached() => {
            check.file(&found.path)?;
            tracing::warn!("{error}; using the cached `{file}`");
            Ok(found)
        }
        (outcome, _) => outcome,
    }
}

/// Updates the cached file to the hub's version and returns it.
fn update(
    settings: &Settings,
    repo: Repo,
    file: &str,
    check: &Check<'_>,
    cache: &Cache,
    progress: &mut dyn FnMut(Download),
) -> Result<Fetched, HubError> {
    let client = Client::new(settings, repo)?;
    let mut metadata = client.metadata(file)?;
    check.announced(&metadata)?;
    metadata.size = metadata.size.or(check.size());
    let found = match cache.at(&metadata.commit, file) {
        Some(found) => found,
        None => {
            let _lock = cache.lock(&metadata.etag, PATIENCE)?;
            let blob = cache.blob(&metadata.etag);
            if !blob.is_file() {
                let mut part = cache.part(&metadata.etag)?;
                let mut report = |done, total| progress(Download { file: file.to_owned(), done, total });
                Transfer::new(&client, file, &metadata, &mut part, &mut report).run()?;
                if let Err(error) = check.part(&part) {
                    part.discard()?;
                    return Err(error);
                }
                part.finish(&blob)?;
            }
            cache.link(&metadata.commit, file, &metadata.etag)?
        }
    };
    check.file(&found.path)?;
    check.of_hub(&found.path, &metadata)?;
    cache.record(&metadata.commit, file)?;
    Ok(found)
}
