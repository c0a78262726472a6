//! Files that are found in place of a model's files if a download went wrong.

/// What a file is, if it is not the one that was to be downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StandIn {
    /// The pointer that a clone without Git LFS contains.
    #[error(
        "a Git LFS pointer, not the file itself: run `git lfs pull` in its repository or download it again"
    )]
    LfsPointer,
    /// A page for a browser, such as one that asks for a login.
    #[error("a web page, not the file itself: download it again, with a token if its repository is gated")]
    WebPage,
}

impl StandIn {
    /// Recognizes such a file by its content.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let begins = |start: &str| {
            let text = bytes.trim_ascii_start();
            text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start.as_bytes()))
        };
        if begins("version https://git-lfs.github.com/") {
            return Some(Self::LfsPointer);
        }
        (begins("<!doctype html") || begins("<html")).then_some(Self::WebPage)
    }
}
