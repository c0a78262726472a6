//! Names of repositories, revisions and files, validated before they become parts of URLs and paths.

use super::HubError;

/// The default revision.
const DEFAULT_REVISION: &str = "main";

/// Maximum length of an organization or repository name on the hub.
const MAX_NAME_LENGTH: usize = 96;

/// A model repository at one revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repo<'a> {
    /// The user or organization.
    pub(super) owner: &'a str,
    /// The name of the repository.
    pub(super) name: &'a str,
    /// A branch, a tag or a commit.
    pub(super) revision: &'a str,
}

impl<'a> Repo<'a> {
    /// Parses `org/name` or `org/name@revision`.
    pub(super) fn parse(text: &'a str) -> Result<Self, HubError> {
        Self::split(text).ok_or_else(|| HubError::InvalidRepo { repo: text.to_owned() })
    }

    fn split(text: &'a str) -> Option<Self> {
        let (id, revision) = text.split_once('@').unwrap_or((text, DEFAULT_REVISION));
        let (owner, name) = id.split_once('/')?;
        (is_name(owner) && is_name(name) && !name.ends_with(".git") && is_revision(revision))
            .then_some(Self { owner, name, revision })
    }

    /// Whether the revision is a commit. The files of a commit never change.
    pub(super) fn is_commit(&self) -> bool {
        self.revision.len() == 40 && self.revision.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
}

/// Whether the text has the form of a repository name, `org/name` or `org/name@revision`. Relative paths can have
/// the same form, so check first whether such a file or directory exists.
pub fn is_repo_id(text: &str) -> bool {
    Repo::split(text).is_some()
}

/// Checks that `file` is a relative path that stays inside the repository, and returns it.
pub(crate) fn check_file(file: &str) -> Result<&str, HubError> {
    let ordinary = |part: &str| {
        !matches!(part, "" | "." | "..")
            && !part.contains(|character: char| character.is_control() || "\\:".contains(character))
    };
    if file.split('/').all(ordinary) {
        Ok(file)
    } else {
        Err(HubError::InvalidFile { file: file.to_owned() })
    }
}

/// Whether a commit or ETag from the hub is safe as a file name in the cache.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The hub's naming rules: letters, digits, `-`, `_` and `.`; no `-` or `.` at either end; no `--` or `..`.
fn is_name(name: &str) -> bool {
    let edge = ['-', '.'];
    (1..=MAX_NAME_LENGTH).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && !name.starts_with(edge)
        && !name.ends_with(edge)
        && !name.contains("--")
        && !name.contains("..")
}

/// Git's rules for references, as far as they matter for paths.
fn is_revision(revision: &str) -> bool {
    revision.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\:?*[~^".contains(&byte))
        && !revision.contains("..")
        && revision.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::{Repo, check_file, is_plain, is_repo_id};

    #[test]
    fn parses_owner_name_and_revision() {
        assert_eq!(
            Repo::parse("pyannote/speaker-diarization-3.1").unwrap(),
            Repo { owner: "pyannote", name: "speaker-diarization-3.1", revision: "main" }
        );
        assert_eq!(
            Repo::parse("org/name@refs/pr/1").unwrap(),
            Repo { owner: "org", name: "name", revision: "refs/pr/1" }
        );
        let error = Repo::parse("no-owner").unwrap_err().to_string();
        assert!(error.contains("no-owner") && error.contains("org/name"), "{error}");
    }

    #[test]
    fn rejects_names_that_the_hub_does_not_allow() {
        let long = format!("org/{}", "x".repeat(97));
        for text in [
            "",
            "name",
            "/",
            "org/",
            "/name",
            "a/b/c",
            "../name",
            "org/..",
            "./name",
            "org/-name",
            "org/na me",
            "org/name.",
            "org/a--b",
            "org/a..b",
            "org/name.git",
            "C:\\x/y",
            "org/name@",
            "org/name@a b",
            "org/name@../x",
            "org/name@/x",
            "org/name@a\\b",
            "org/name@.x",
            "órg/name",
            "https://x/y",
            &long,
        ] {
            assert!(!is_repo_id(text), "{text}");
        }
        for text in ["org/name", "o/n", "a.b/c_d", "_x/y-z", "org/name@v1.0", "org/name@feature/x"] {
            assert!(is_repo_id(text), "{text}");
        }
    }

    #[test]
    fn rejects_files_outside_the_repository() {
        for file in ["config.yaml", "embedding/pytorch_model.bin", "a b.bin", ".gitattributes"] {
            assert_eq!(check_file(file).unwrap(), file);
        }
        for file in ["", "/etc/x", "../x", "a/../x", "a//b", "a/", "a\\b", "C:x", "a\nb", "."] {
            assert!(check_file(file).is_err(), "{file}");
        }
        assert!(is_plain("9f86d081-5_x"));
        assert!(!is_plain("") && !is_plain("../x") && !is_plain(".."));
    }
}
