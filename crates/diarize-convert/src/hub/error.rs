//! What can go wrong with a hub, each with what to do.

use std::{error::Error, io, path::PathBuf};

/// What can go wrong with a hub.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The text is no name of a repository.
    #[error("`{repo}` is no repository of a hub: it must look like org/name or org/name@revision")]
    InvalidRepo {
        /// The text given.
        repo: String,
    },
    /// The text is no path of a file in a repository.
    #[error("`{file}` is no file of a repository: it must be a plain path with `/`, without `..`")]
    InvalidFile {
        /// The text given.
        file: String,
    },
    /// `HF_ENDPOINT` is no address.
    #[error("`{endpoint}` is no address of a hub: set HF_ENDPOINT to one like https://huggingface.co")]
    InvalidEndpoint {
        /// The address given.
        endpoint: String,
    },
    /// The hub has no such repository.
    #[error("there is no model repository {page}: check its name")]
    RepoNotFound {
        /// The page of the repository.
        page: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("{page} has no revision `{revision}`")]
    RevisionNotFound {
        /// The page of the repository.
        page: String,
        /// The branch, tag or commit.
        revision: String,
    },
    /// The repository has no such file.
    #[error("there is no file `{file}` at revision `{revision}` of {page}")]
    FileNotFound {
        /// The page of the repository.
        page: String,
        /// The branch, tag or commit.
        revision: String,
        /// The file.
        file: String,
    },
    /// The hub does not say what it has to those who do not say who they are.
    #[error(
        "{page} is gated, private or does not exist, and no token is set: open {page} , accept its \
         conditions if it shows any, and set HF_TOKEN to a token of that account (from {endpoint}/settings/tokens)"
    )]
    NeedsToken {
        /// The page of the repository.
        page: String,
        /// The hub.
        endpoint: String,
    },
    /// The hub does not know the token.
    #[error(
        "the hub does not accept the token for {page}: it is mistyped, expired or of an account that does \
         not see this repository; set HF_TOKEN to another one (from {endpoint}/settings/tokens)"
    )]
    TokenRefused {
        /// The page of the repository.
        page: String,
        /// The hub.
        endpoint: String,
    },
    /// The account of the token has not accepted the repository's conditions, or the token may not use it.
    #[error(
        "{page} is gated: open {page} , accept the conditions, and set HF_TOKEN to a token of that account \
         that may read gated repositories (from {endpoint}/settings/tokens){}",
        said(message)
    )]
    Gated {
        /// The page of the repository.
        page: String,
        /// The hub.
        endpoint: String,
        /// The hub's own words.
        message: Option<String>,
    },
    /// The file is not in the cache, and the hub must not be asked.
    #[error(
        "`{file}` of {page} is not in the cache {}, and HF_HUB_OFFLINE forbids to download it: unset it, \
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
        "cannot reach {endpoint} ({}): check the connection and the proxy, set HF_ENDPOINT to use a mirror, \
         or HF_HUB_OFFLINE=1 to use what is in the cache",
        innermost(source)
    )]
    Network {
        /// The hub.
        endpoint: String,
        /// What the connection said.
        source: reqwest::Error,
    },
    /// The hub, or the server it sent to, answers with an error.
    #[error("{url} answers {status}{}: try again later", said(message))]
    Status {
        /// What was asked for, without its query.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The server's own words.
        message: Option<String>,
    },
    /// The answer is not one of a hub.
    #[error("{url} does not answer as a hub does: {problem}; check HF_ENDPOINT")]
    NotAHub {
        /// What was asked for.
        url: String,
        /// What is wrong with the answer.
        problem: &'static str,
    },
    /// The download broke off, and going on did not help.
    #[error(
        "the download of `{file}` broke off at {done} of {} bytes ({reason}): try again, and it goes on from there",
        total.map_or("an unknown number of".to_owned(), |total| total.to_string())
    )]
    Interrupted {
        /// The file.
        file: String,
        /// The bytes that are there.
        done: u64,
        /// The bytes that there should be, where the hub says so.
        total: Option<u64>,
        /// What happened.
        reason: String,
    },
    /// The file came whole, but is not the one the hub announced.
    #[error(
        "`{file}` came with the sha256 {found} instead of {expected} and was thrown away: try again, and ask \
         whoever runs the proxy or mirror if it stays so"
    )]
    WrongHash {
        /// The file.
        file: String,
        /// The hash the hub announced.
        expected: String,
        /// The hash of what came.
        found: String,
    },
    /// A file of the cache cannot be read or written.
    #[error("cannot use the cache at {}: {source}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The HTTP client cannot be made.
    #[error("cannot start the HTTP client: {source}")]
    Client {
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl HubError {
    /// Whether a file of the cache may stand in for what the hub does not give.
    pub(super) fn leaves_the_cache(&self) -> bool {
        matches!(
            self,
            HubError::Network { .. }
                | HubError::Status { .. }
                | HubError::NeedsToken { .. }
                | HubError::TokenRefused { .. }
                | HubError::Gated { .. }
        )
    }
}

/// The words of a server, in parentheses.
fn said(message: &Option<String>) -> String {
    message.as_ref().map_or_else(String::new, |message| format!(" (it says: {message})"))
}

/// The last cause of an error: the one that names the reason.
pub(super) fn innermost<'a>(mut error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}
