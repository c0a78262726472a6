//! Content that must not reach the cache.

use std::fs;

use diarize_convert::hub::HubError;

use super::{COMMIT, LARGE, SMALL, SMALL_HASH, blobs, fetch, hub, part, settings, sha256, weights};
use crate::hub_server::{Reply, Server};

#[test]
fn a_body_that_is_too_long_does_not_become_a_cached_file() {
    let storage = Server::start(|_| Reply::body(&[weights(), weights()].concat()));
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    let error = fetch(&settings, LARGE).unwrap_err();
    assert!(matches!(error, HubError::Interrupted { done: 0, total: Some(300_000), .. }), "{error:?}");
    assert!(blobs(&settings).is_empty());
}

#[test]
fn a_truncated_body_does_not_become_a_cached_file() {
    let storage = Server::start(|request| Reply::file(&weights()[..200_000], request));
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    let error = fetch(&settings, LARGE).unwrap_err();
    assert!(matches!(error, HubError::Interrupted { done: 200_000, total: Some(300_000), .. }), "{error:?}");
    assert!(error.to_string().contains("200000 of 300000 bytes"), "{error}");
    assert!(blobs(&settings).is_empty());
    assert_eq!(fs::metadata(part(&settings, &weights())).unwrap().len(), 200_000);
    let whole = storage.downloads().iter().filter(|request| request.range().is_none()).count();
    assert_eq!(whole, 2, "the download starts again from zero only once");
}

#[test]
fn a_truncated_small_file_does_not_become_a_cached_file() {
    let hub = Server::start(|_| {
        Reply::body(SMALL).with("ETag", "\"5af3\"").with("X-Repo-Commit", COMMIT).cut_after(7)
    });
    let (_folder, settings) = settings(&hub.url());
    let error = fetch(&settings, "config.yaml").unwrap_err();
    assert!(matches!(error, HubError::Interrupted { total: Some(15), .. }), "{error:?}");
    assert!(blobs(&settings).is_empty());
}

#[test]
fn a_file_with_the_wrong_hash_is_discarded() {
    let mut wrong = weights();
    wrong[123_456] ^= 1;
    let found = sha256(&wrong);
    let storage = Server::start(move |request| Reply::file(&wrong, request));
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    match fetch(&settings, LARGE).unwrap_err() {
        HubError::WrongHash { file, expected, found: hash } => {
            assert_eq!((file.as_str(), expected, hash), (LARGE, sha256(&weights()), found));
        }
        error => panic!("{error:?}"),
    }
    assert!(blobs(&settings).is_empty());
    assert_eq!(fs::metadata(part(&settings, &weights())).unwrap().len(), 0);
}

/// A hub with one small file, which announces git's hash of `SMALL`.
fn hub_of_small(reply: fn() -> Reply) -> Server {
    Server::start(move |_| reply().with("ETag", format!("\"{SMALL_HASH}\"")).with("X-Repo-Commit", COMMIT))
}

#[test]
fn a_small_file_with_the_wrong_hash_is_discarded() {
    let hub = hub_of_small(|| Reply::body(b"version: 3.1.1\n"));
    let (_folder, settings) = settings(&hub.url());
    match fetch(&settings, "config.yaml").unwrap_err() {
        HubError::WrongHash { expected, found, .. } => {
            let other = "6e57d25ea74fdfb1d681bb530780ae8f898d9612";
            assert_eq!((expected.as_str(), found.as_str()), (SMALL_HASH, other));
        }
        error => panic!("{error:?}"),
    }
    assert!(blobs(&settings).is_empty());
}

#[test]
fn a_file_of_unknown_length_needs_a_hash() {
    let hub = hub_of_small(|| Reply::body(SMALL).without_length());
    let (_folder, complete) = settings(&hub.url());
    assert_eq!(fs::read(fetch(&complete, "config.yaml").unwrap()).unwrap(), SMALL);

    let hub = hub_of_small(|| Reply::body(SMALL).without_length().cut_after(7));
    let (_folder, cut) = settings(&hub.url());
    let error = fetch(&cut, "config.yaml").unwrap_err();
    assert!(matches!(error, HubError::WrongHash { .. }), "{error:?}");
    assert!(blobs(&cut).is_empty());

    let hub = Server::start(|_| {
        Reply::body(SMALL).without_length().with("ETag", "\"5af3\"").with("X-Repo-Commit", COMMIT)
    });
    let (_folder, without_hash) = settings(&hub.url());
    let error = fetch(&without_hash, "config.yaml").unwrap_err();
    assert!(matches!(error, HubError::NotAHub { .. }), "{error:?}");
    assert!(error.to_string().contains("cannot be verified"), "{error}");
    assert!(blobs(&without_hash).is_empty());
}

#[test]
fn compressed_content_is_rejected() {
    let small = hub_of_small(|| Reply::body(SMALL).with("Content-Encoding", "gzip"));
    let storage = Server::start(|request| Reply::file(&weights(), request).with("Content-Encoding", "gzip"));
    let large = hub(&storage, weights());
    for (hub, file) in [(&small, "config.yaml"), (&large, LARGE)] {
        let (_folder, settings) = settings(&hub.url());
        let error = fetch(&settings, file).unwrap_err();
        assert!(matches!(error, HubError::NotAHub { .. }), "{error:?}");
        assert!(error.to_string().contains("compressed"), "{error}");
        assert!(blobs(&settings).is_empty());
    }
    let hub = hub_of_small(|| Reply::body(SMALL).with("Content-Encoding", "Identity"));
    let (_folder, settings) = settings(&hub.url());
    assert_eq!(fs::read(fetch(&settings, "config.yaml").unwrap()).unwrap(), SMALL);
}

#[test]
fn an_error_page_does_not_become_a_cached_file() {
    let storage = Server::start(|_| Reply::status(403));
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    let error = fetch(&settings, LARGE).unwrap_err();
    assert!(matches!(error, HubError::Status { status: 403, .. }), "{error:?}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(blobs(&settings).is_empty());
}
