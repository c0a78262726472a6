//! The settings of the hub client.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

use super::address::shown;

/// The hub's URL, the access token and the cache.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The URL of the hub, without a trailing slash.
    pub endpoint: String,
    /// The access token, if any.
    pub token: Option<String>,
    /// The cache directory, `HF_HUB_CACHE` in Python's `huggingface_hub`.
    pub cache: PathBuf,
    /// Whether to use only cached files.
    pub offline: bool,
}

impl Settings {
    /// Reads the environment variables of Python's `huggingface_hub`:
    ///
    /// - Endpoint: `HF_ENDPOINT`, by default `https://huggingface.co`.
    /// - Token: `HF_TOKEN`, or the content of the file `HF_TOKEN_PATH`, or of the file `token` in `HF_HOME`.
    /// - Cache: `HF_HUB_CACHE`, or `HUGGINGFACE_HUB_CACHE`, or the directory `hub` in `HF_HOME`.
    /// - `HF_HOME` is by default `huggingface` in `XDG_CACHE_HOME`, or in `.cache` in the home directory.
    /// - Offline mode: `HF_HUB_OFFLINE` is `1`, `true`, `yes` or `on`.
    ///
    /// An empty variable counts as unset. The proxy comes from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and
    /// `NO_PROXY`, or their lowercase forms. An `http` hub is also reached through the proxy's method `CONNECT`,
    /// which some proxies allow for `https` only.
    pub fn from_env() -> Self {
        let home = folder("HF_HOME").unwrap_or_else(|| {
            folder("XDG_CACHE_HOME")
                .unwrap_or_else(|| env::home_dir().unwrap_or_default().join(".cache"))
                .join("huggingface")
        });
        Self {
            endpoint: text("HF_ENDPOINT").map_or_else(
                || "https://huggingface.co".to_owned(),
                |endpoint| endpoint.trim_end_matches('/').to_owned(),
            ),
            token: text("HF_TOKEN")
                .or_else(|| stored_token(&folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token")))),
            cache: folder("HF_HUB_CACHE")
                .or_else(|| folder("HUGGINGFACE_HUB_CACHE"))
                .unwrap_or_else(|| home.join("hub")),
            offline: text("HF_HUB_OFFLINE").is_some_and(|value| {
                ["1", "true", "yes", "on"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
            }),
        }
    }

    /// The endpoint without secrets.
    pub(super) fn shown_endpoint(&self) -> String {
        shown(&self.endpoint)
    }
}

/// Hides the token, and the user, password and query of the endpoint, which are secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("endpoint", &self.shown_endpoint())
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish()
    }
}

/// The value of a variable without surrounding whitespace, which secrets read from files often have.
fn text(variable: &str) -> Option<String> {
    env::var(variable).ok().as_deref().and_then(trimmed)
}

fn folder(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn stored_token(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().as_deref().and_then(trimmed)
}

fn trimmed(text: &str) -> Option<String> {
    let text = text.trim_start_matches('\u{feff}').trim();
    Some(text).filter(|text| !text.is_empty()).map(str::to_owned)
}
