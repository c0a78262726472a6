//! The hub's metadata of a file.

use super::{HubError, http::Answer, name::is_plain};

/// The hub's metadata of a file.
#[derive(Debug)]
pub(super) struct Metadata {
    /// The commit of the requested revision.
    pub(super) commit: String,
    /// The ETag. With the large hubs, it is a hash of the content.
    pub(super) etag: String,
    /// Size of the file in bytes, if known.
    pub(super) size: Option<u64>,
}

/// How a hash is computed from the content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hash {
    /// The SHA-256 of the content, for large files.
    Sha256,
    /// Git's hash, for small files: the SHA-1 of a header with the length, followed by the content.
    Git,
}

impl Metadata {
    /// Reads the metadata of a file from the headers of a response.
    pub(super) fn read(answer: &Answer) -> Result<Self, HubError> {
        let not_a_hub = |problem| HubError::NotAHub { url: answer.address().bare(), problem };
        let etag = answer
            .header("x-linked-etag")
            .or_else(|| answer.header("etag"))
            .map(|etag| etag.trim_start_matches("W/").trim_matches('"'))
            .filter(|etag| is_plain(etag))
            .ok_or_else(|| not_a_hub("there is no usable ETag"))?;
        let commit = answer
            .header("x-repo-commit")
            .filter(|commit| is_plain(commit))
            .ok_or_else(|| not_a_hub("it does not name a commit"))?;
        // The content length of a redirect is not that of the file.
        let content = answer.status().is_success();
        if content && answer.is_encoded() {
            return Err(not_a_hub(ENCODED));
        }
        let length = answer.header("content-length").filter(|_| content);
        let size = answer.header("x-linked-size").or(length).and_then(|size| size.parse().ok());
        let metadata = Self { commit: commit.to_owned(), etag: etag.to_owned(), size };
        if metadata.hash().is_none() && size.is_none() {
            return Err(not_a_hub("without a hash or the size of the file, a download cannot be verified"));
        }
        Ok(metadata)
    }

    /// Which hash the ETag is, if it is one.
    pub(super) fn hash(&self) -> Option<Hash> {
        match self.etag.len() {
            _ if !self.etag.bytes().all(|byte| byte.is_ascii_hexdigit()) => None,
            40 => Some(Hash::Git),
            64 => Some(Hash::Sha256),
            _ => None,
        }
    }
}

/// The problem with a response whose content is compressed.
pub(super) const ENCODED: &str = "its content is compressed, although the request forbids it";
