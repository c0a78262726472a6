//! Fetches files of model repositories from the Hugging Face hub and other hubs with the same API.
//!
//! [`fetch`] returns the local path of a file, which it downloads into the cache if necessary. The cache and the
//! environment variables ([`Settings::from_env`]) are those of Python's `huggingface_hub`, so that each finds
//! the other's downloads.
//!
//! # Division of labor with hf-hub
//!
//! [`hf_hub`] transfers the content: it handles URLs, tokens, redirects and ranges. This module adds what hf-hub
//! 1.0.0 lacks:
//!
//! - *Offline mode.* hf-hub ignores `HF_HUB_OFFLINE`.
//! - *Metadata.* hf-hub's `get_file_metadata` fails for every large file, because it follows the redirect to the
//!   storage server, whose response contains neither commit nor hash. This module makes the request itself.
//! - *Resuming downloads.* hf-hub's `download_file` always starts at zero. This module keeps unfinished
//!   downloads as `ETAG.incomplete` and resumes them with a range request.
//! - *Verification.* hf-hub's `download_file` caches whatever the server sends: a truncated body, another file,
//!   even an error page. Here a file gets its final name only after its length and, if the ETag is one, its
//!   SHA-256 have been checked.
//! - *Timeouts.* hf-hub waits forever. Here a connection without data counts as interrupted.

mod cache;
mod client;
mod error;
mod name;
mod part;
mod settings;

use std::{panic, path::PathBuf, sync::mpsc, thread};

use cache::Cache;
use client::Client;
use name::Repo;

pub use error::HubError;
pub use name::is_repo_id;
pub use settings::Settings;

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
    let repo = Repo::parse(repo)?;
    let file = name::check_file(file)?;
    let cache = Cache::new(&settings.cache, &repo);
    let cached = cache.find(&repo, file);
    match cached {
        Some(path) if settings.offline || repo.is_commit() => return Ok(path),
        None if settings.offline => {
            return Err(HubError::Offline {
                page: client::page(settings, repo),
                file: file.to_owned(),
                cache: settings.cache.clone(),
            });
        }
        _ => {}
    }
    match (update_blocking(settings, repo, file, &cache, progress), cached) {
        (Err(error), Some(path)) if error.allows_cached() => {
            tracing::warn!("{error}; using the cached `{file}`");
            Ok(path)
        }
        (outcome, _) => outcome,
    }
}

/// Runs [`update`] on a separate thread, because the caller's thread may belong to an asynchronous runtime, where
/// blocking is not allowed.
fn update_blocking(
    settings: &Settings,
    repo: Repo,
    file: &str,
    cache: &Cache,
    progress: &mut dyn FnMut(Download),
) -> Result<PathBuf, HubError> {
    let (report, reports) = mpsc::channel();
    thread::scope(|scope| {
        let updating = scope.spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|source| HubError::Client { source: source.into() })?
                .block_on(update(settings, repo, file, cache, &report))
        });
        reports.iter().for_each(progress);
        updating.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
    })
}

/// Updates the cached file to the hub's version and returns its path.
async fn update(
    settings: &Settings,
    repo: Repo<'_>,
    file: &str,
    cache: &Cache,
    report: &mpsc::Sender<Download>,
) -> Result<PathBuf, HubError> {
    let client = Client::new(settings, repo)?;
    let metadata = client.metadata(file).await?;
    let path = match cache.at(&metadata.commit, file) {
        Some(path) => path,
        None => {
            let _lock = cache.lock(&metadata.etag)?;
            let blob = cache.blob(&metadata.etag);
            if !blob.is_file() {
                let mut part = cache.part(&metadata.etag)?;
                let report = |done, total| {
                    // There is no receiver if the caller's `progress` panicked.
                    let _ = report.send(Download { file: file.to_owned(), done, total });
                };
                client.download(file, &metadata, &mut part, report).await?;
                part.finish(&blob)?;
            }
            cache.link(&metadata.commit, file, &metadata.etag)?
        }
    };
    cache.record(&repo, &metadata.commit)?;
    Ok(path)
}
