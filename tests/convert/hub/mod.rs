//! Tests downloads from a hub, with local servers that implement its API.

mod cached;
mod damaged;
mod download;
mod environment;
mod errors;
mod interrupted;

use std::{fs, path::PathBuf};

use diarize_convert::hub::{HubError, Settings, fetch_with};
use sha2::{Digest, Sha256};
use tempfile::{TempDir, tempdir};

use crate::hub_server::{Reply, Server};

const REPO: &str = "org/model";
const LARGE: &str = "embedding/pytorch_model.bin";
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A small file and its hash, as printed by `git hash-object`.
const SMALL: &[u8] = b"version: 3.1.0\n";
const SMALL_HASH: &str = "748a995c46ed23e2111a3e14766d83825d0a51c6";

/// Settings with their own empty cache.
fn settings(endpoint: &str) -> (TempDir, Settings) {
    let folder = tempdir().unwrap();
    let cache = folder.path().join("hub");
    (folder, Settings { endpoint: endpoint.to_owned(), token: None, cache, offline: false })
}

fn fetch(settings: &Settings, file: &str) -> Result<PathBuf, HubError> {
    fetch_with(settings, REPO, file, &mut |_| {})
}

/// A file of 300 kB that does not compress well.
fn weights() -> Vec<u8> {
    (0..300_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// A hub's response for a file on a storage server.
fn redirect_to(storage: &str, announced: &[u8]) -> Reply {
    Reply::status(302)
        .with("Location", format!("{storage}/blob?signature=secret"))
        .with("X-Repo-Commit", COMMIT)
        .with("X-Linked-Etag", format!("\"{}\"", sha256(announced)))
        .with("X-Linked-Size", announced.len())
}

/// A hub with one large file on a storage server.
fn hub(storage: &Server, announced: Vec<u8>) -> Server {
    let storage = storage.url();
    Server::start(move |request| match request.path.rsplit_once("/resolve/") {
        Some(("/org/model", path)) if path.ends_with(LARGE) => redirect_to(&storage, &announced),
        _ => Reply::status(404).with("X-Error-Code", "EntryNotFound").with("X-Repo-Commit", COMMIT),
    })
}

/// A hub that rejects every request.
fn refusing(status: u16, code: &'static str) -> Server {
    Server::start(move |_| {
        Reply::status(status).with("X-Error-Code", code).with("X-Error-Message", "message of the hub")
    })
}

/// The names of the complete files in the cache.
fn blobs(settings: &Settings) -> Vec<String> {
    let folder = settings.cache.join("models--org--model/blobs");
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with(".incomplete")).collect()
}

fn part(settings: &Settings, announced: &[u8]) -> PathBuf {
    settings.cache.join(format!("models--org--model/blobs/{}.incomplete", sha256(announced)))
}
