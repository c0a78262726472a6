//! Errors of the hub client. Each message says what to do.

use std::{io, path::PathBuf};

use super::http::is_temporary;

/// An error while fetching a file from a hub.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The text is not the name of a repository.
    #[error("`{repo}` is not the name of a hub repository: it must look like org/name or org/name@revision")]
    InvalidRepo {
        /// The text.
        repo: String,
    },
    /// The text is not the path of a file in a repository.
    #[error("`{file}` is not a file of a repository: it must be a relative path with `/` and without `..`")]
    InvalidFile {
        /// The text.
        file: String,
    },
    /// `HF_ENDPOINT` is not a URL.
    #[error(
        "`{endpoint}` is not the URL of a hub: set HF_ENDPOINT to a URL without a query, such as \
         https://huggingface.co"
    )]
    InvalidEndpoint {
        /// The value of `HF_ENDPOINT`, without user, password and query.
        endpoint: String,
    },
    /// An environment variable is not the URL of a proxy.
    #[error(
        "the environment variable {variable} is not the URL of a proxy: set it to a URL such as \
         http://proxy.example.org:8080, or unset it"
    )]
    InvalidProxy {
        /// The environment variable. Its value, which may contain a password, is not shown.
        variable: String,
    },
    /// The repository does not exist.
    #[error("there is no model repository {page}: check its name")]
    RepoNotFound {
        /// The page of the repository.
        page: String,
    },
    /// The branch, tag or commit does not exist.
    #[error("{page} has no revision `{revision}`")]
    RevisionNotFound {
        /// The page of the repository.
        page: String,
        /// The branch, tag or commit.
        revision: String,
    },
    /// The file does not exist.
    #[error("there is no file `{file}` at revision `{revision}` of {page}")]
    FileNotFound {
        /// The page of the repository.
        page: String,
        /// The branch, tag or commit.
        revision: String,
        /// The file.
        file: String,
    },
    /// The hub requires a token, and none is set.
    #[error(
        "{page} is gated, private or does not exist, and no token is set: open {page} and accept the \
         conditions if there are any, then set HF_TOKEN to a token of that account (from {endpoint}/settings/tokens)"
    )]
    NeedsToken {
        /// The page of the repository.
        page: String,
        /// The hub.
        endpoint: String,
    },
    /// The hub rejects the token.
    #[error(
        "the hub does not accept the token for {page}: it is mistyped, expired, or belongs to an account without \
         access to this repository; set HF_TOKEN to another token (from {endpoint}/settings/tokens), or unset it if the \
         repository is public"
    )]
    TokenRefused {
        /// The page of the repository.
        page: String,
        /// The hub.
        endpoint: String,
    },
    /// The token's account has not accepted the repository's conditions, or the token lacks permission.
    #[error(
        "{page} is gated: open {page} and accept the conditions, then set HF_TOKEN to a token of that account \
         that may read gated repositories (from {endpoint}/settings/tokens){}",
        said(message)
    )]
    Gated {
        /// The page of the repository.
        page: String,
        /// The hub.
        endpoint: String,
        /// The hub's message.
        message: Option<String>,
    },
    /// The file is not in the cache, and offline mode is on.
    #[error(
        "`{file}` of {page} is not in the cache {}, and HF_HUB_OFFLINE forbids downloading it: unset it, \
         or copy the cache of a machine that has the file", cache.display()
    )]
    Offline {
        /// The page of the repository.
        page: String,
        /// The file.
        file: String,
        /// The folder of the cache.
        cache: PathBuf,
    },
    /// The hub cannot be reached.
    #[error(
        "cannot reach {endpoint} ({reason}): check the connection and the proxy, set HF_ENDPOINT to a mirror, \
         or set HF_HUB_OFFLINE=1 to use only cached files"
    )]
    Network {
        /// The hub.
        endpoint: String,
        /// Why there is no response.
        reason: String,
    },
    /// The hub, or the server it redirects to, returns an error.
    #[error("{url} returned HTTP status {status}{}: try again later", said(message))]
    Status {
        /// The requested URL without user, password and query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The server's message.
        message: Option<String>,
    },
    /// The response does not follow the hub's protocol.
    #[error("the response of {url} is not that of a hub: {problem}; check HF_ENDPOINT")]
    NotAHub {
        /// The requested URL without user, password and query.
        url: String,
        /// What is wrong with the response.
        problem: &'static str,
    },
    /// The download was interrupted, and retries did not help.
    #[error(
        "the download of `{file}` was interrupted at {done} of {} bytes ({reason}): try again to resume it",
        total.map_or("an unknown number of".to_owned(), |total| total.to_string())
    )]
    Interrupted {
        /// The file.
        file: String,
        /// Number of bytes downloaded.
        done: u64,
        /// Size of the file in bytes, if known.
        total: Option<u64>,
        /// The reason for the interruption.
        reason: String,
    },
    /// The download is complete, but its hash is wrong.
    #[error(
        "the downloaded `{file}` was discarded because its hash is {found} instead of {expected}: try again; \
         if the problem persists, contact whoever runs the proxy or mirror"
    )]
    WrongHash {
        /// The file.
        file: String,
        /// The hash that the hub announced.
        expected: String,
        /// The hash of the downloaded file.
        found: String,
    },
    /// The file differs from the one that is expected.
    #[error(
        "`{file}` at revision `{revision}` of {page} is not the expected file and was rejected: {difference}; the \
         repository may have changed"
    )]
    Unexpected {
        /// The page of the repository.
        page: String,
        /// The branch, tag or commit.
        revision: String,
        /// The file.
        file: String,
        /// What differs.
        difference: String,
    },
    /// Another process holds the lock of a download that does not advance.
    #[error(
        "another process has held the lock {} for {seconds} s without downloading anything: end that process and try \
         again", path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// How long this process has waited.
        seconds: u64,
    },
    /// A file of the cache cannot be read or written.
    #[error("cannot use the cache at {}: {source}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

impl HubError {
    /// Whether a cached file may be used after this error. This includes [`Self::NotAHub`], because some
    /// public networks answer every request with a login page.
    pub(super) fn allows_cached(&self) -> bool {
        matches!(
            self,
            HubError::Network { .. }
                | HubError::Status { .. }
                | HubError::NeedsToken { .. }
                | HubError::TokenRefused { .. }
                | HubError::Gated { .. }
                | HubError::NotAHub { .. }
                | HubError::Interrupted { .. }
        )
    }

    /// Whether the same download may succeed later.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            HubError::Interrupted { .. } => true,
            HubError::Status { status, .. } => is_temporary(*status),
            _ => false,
        }
    }
}

/// The server's message in parentheses, if there is one.
fn said(message: &Option<String>) -> String {
    message.as_ref().map_or_else(String::new, |message| format!(" (message: {message})"))
}
