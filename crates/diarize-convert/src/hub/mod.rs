//! Files of model repositories on the Hugging Face hub, and of others that speak its API.
//!
//! [`fetch`] gives the local path of one file, out of the cache or downloaded into it. The cache and the
//! environment variables ([`Settings::from_env`]) are those of Python's `huggingface_hub`: what one has
//! downloaded, the other finds.
//!
//! # What is done by hf-hub, and what around it
//!
//! The bytes come through [`hf_hub`]: its addresses, its token, its redirects, its ranges. hf-hub 1.0.0
//! does not do these, so this module does:
//!
//! - *Offline.* hf-hub does not know `HF_HUB_OFFLINE`.
//! - *What the hub knows of a file.* `get_file_metadata` follows the redirect to the storage server, where
//!   the commit and the hash are not given, and so fails for every large file. This one request is made here.
//! - *Going on after a break.* `download_file` starts at zero each time; the download here is kept as
//!   `ETAG.incomplete` and goes on with a range.
//! - *Whole and right files only.* `download_file` puts into the cache what the server sends: a body that
//!   is too short, another file, even an error page. Here a file gets its final name after its length and,
//!   where the etag is one, its sha256 are right.
//! - *Silence.* hf-hub waits for ever; here a connection that is silent is a break.

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

/// How far a download has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The file, as it was asked for.
    pub file: String,
    /// The bytes that are there. After a break this may be less than before.
    pub done: u64,
    /// The bytes of the whole file, where the hub says so.
    pub total: Option<u64>,
}

/// The local path of one file of a model repository, with the settings of the environment.
///
/// `repo` is `org/name` or `org/name@revision`, `file` a path in it, such as `embedding/pytorch_model.bin`.
/// `progress` is called on this thread while the file is downloaded, and never if the cache has it.
pub fn fetch(repo: &str, file: &str, progress: &mut dyn FnMut(Download)) -> Result<PathBuf, HubError> {
    fetch_with(&Settings::from_env(), repo, file, progress)
}

/// [`fetch`] with other settings than those of the environment.
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
    match (ask(settings, repo, file, &cache, progress), cached) {
        (Err(error), Some(path)) if error.leaves_the_cache() => {
            tracing::warn!("{error}; until then the cached `{file}` is used");
            Ok(path)
        }
        (outcome, _) => outcome,
    }
}

/// Runs [`update`] on a thread of its own: within an asynchronous program this one may not wait.
fn ask(
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

/// Sees to it that the cache has what the hub has.
async fn update(
    settings: &Settings,
    repo: Repo<'_>,
    file: &str,
    cache: &Cache,
    report: &mpsc::Sender<Download>,
) -> Result<PathBuf, HubError> {
    let client = Client::new(settings, repo)?;
    let found = client.find(file).await?;
    let path = match cache.at(&found.commit, file) {
        Some(path) => path,
        None => {
            let _lock = cache.lock(&found.etag)?;
            let blob = cache.blob(&found.etag);
            if !blob.is_file() {
                let mut part = cache.part(&found.etag)?;
                let report = |done, total| {
                    // Nobody listens any more if the caller's function panicked.
                    let _ = report.send(Download { file: file.to_owned(), done, total });
                };
                client.download(file, &found, &mut part, report).await?;
                part.finish(&blob)?;
            }
            cache.link(&found.commit, file, &found.etag)?
        }
    };
    cache.note(&repo, &found.commit)?;
    Ok(path)
}
