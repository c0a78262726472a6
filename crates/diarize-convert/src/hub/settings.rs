//! Where the hub is, who asks, and where its files are kept.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

/// Where the hub is, who asks, and where its files are kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The address of the hub, without a slash at its end.
    pub endpoint: String,
    /// The access token. `None` asks without one.
    pub token: Option<String>,
    /// The folder of the cache, which Python's `huggingface_hub` calls `HF_HUB_CACHE`.
    pub cache: PathBuf,
    /// Whether to use the cache only.
    pub offline: bool,
}

impl Settings {
    /// What the environment says, in the variables of Python's `huggingface_hub`:
    ///
    /// - `HF_ENDPOINT`: another hub than `https://huggingface.co`;
    /// - `HF_TOKEN`, else the file `HF_TOKEN_PATH`, else the file `token` in `HF_HOME`;
    /// - `HF_HUB_CACHE`, else `HUGGINGFACE_HUB_CACHE`, else the folder `hub` in `HF_HOME`;
    /// - `HF_HOME`, else `huggingface` in `XDG_CACHE_HOME`, else in `.cache` of the home folder;
    /// - `HF_HUB_OFFLINE`: `1`, `true`, `yes` or `on`.
    ///
    /// A variable that is empty counts as one that is not set.
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
}

/// The token is a secret: it is shown as there or not there.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish()
    }
}

/// A variable without the white space around it, which secrets read from files often have.
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
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}
