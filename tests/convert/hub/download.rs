//! Where files come from, and what is sent to whom.

use std::{fs, path::PathBuf};

use diarize_convert::hub::{Download, fetch_with};

use super::{
    COMMIT, LARGE, REPO, SMALL, SMALL_HASH, blobs, fetch, hub, redirect_to, settings, sha256, weights,
};
use crate::hub_server::{Reply, Server};

#[test]
fn a_large_file_comes_from_the_storage_server() {
    let storage = Server::start(|request| Reply::file(&weights(), request));
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    let mut seen = Vec::new();
    let path = fetch_with(&settings, REPO, LARGE, &mut |download| seen.push(download)).unwrap();

    assert_eq!(fs::read(&path).unwrap(), weights());
    let root = settings.cache.join("models--org--model");
    assert_eq!(path, root.join("snapshots").join(COMMIT).join(LARGE));
    assert_eq!(fs::read_to_string(root.join("refs/main")).unwrap(), COMMIT);
    assert_eq!(blobs(&settings), [sha256(&weights())]);
    #[cfg(unix)]
    assert_eq!(
        fs::read_link(&path).unwrap(),
        PathBuf::from(format!("../../../blobs/{}", sha256(&weights()))),
        "links are relative, so that a cache can be moved"
    );

    let of = |done| Download { file: LARGE.to_owned(), done, total: Some(300_000) };
    assert_eq!((seen.first(), seen.last()), (Some(&of(0)), Some(&of(300_000))));
    assert!(seen.is_sorted_by_key(|download| download.done));
}

#[test]
fn a_small_file_comes_from_the_hub_itself() {
    let hub = Server::start(|request| match request.path.as_str() {
        "/org/model/resolve/main/config.yaml" => {
            Reply::status(307).with("Location", "/api/resolve-cache/config.yaml?etag=1")
        }
        "/api/resolve-cache/config.yaml?etag=1"
        | "/org/model/resolve/0123456789abcdef0123456789abcdef01234567/config.yaml" => {
            Reply::body(SMALL).with("ETag", format!("W/\"{SMALL_HASH}\"")).with("X-Repo-Commit", COMMIT)
        }
        other => panic!("{other}"),
    });
    let (_folder, settings) = settings(&hub.url());
    let path = fetch(&settings, "config.yaml").unwrap();
    assert_eq!(fs::read(path).unwrap(), SMALL);
    assert_eq!(blobs(&settings), [SMALL_HASH]);
}

#[test]
fn storage_on_the_hub_itself_may_lack_a_commit() {
    let hub = Server::start(|request| match request.path.split_once('?') {
        Some(("/blob", _)) => Reply::file(&weights(), request).with("ETag", "\"of-the-storage\""),
        _ => redirect_to("", &weights()),
    });
    let (_folder, settings) = settings(&hub.url());
    assert_eq!(fs::read(fetch(&settings, LARGE).unwrap()).unwrap(), weights());
    assert_eq!(blobs(&settings), [sha256(&weights())]);
}

#[test]
fn a_mirror_may_redirect_to_its_hub() {
    let storage = Server::start(|request| Reply::file(&weights(), request));
    let hub = hub(&storage, weights());
    let url = hub.url();
    let mirror =
        Server::start(move |request| Reply::status(308).with("Location", format!("{url}{}", request.path)));
    let (_folder, mut settings) = settings(&mirror.url());
    settings.token = Some("hf_secret".to_owned());
    assert_eq!(fs::read(fetch(&settings, LARGE).unwrap()).unwrap(), weights());
    assert!(hub.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn storage_may_redirect_to_other_storage_but_not_forever() {
    let storage = Server::start(|request| Reply::file(&weights(), request));
    let url = storage.url();
    let moved = Server::start(move |_| Reply::status(302).with("Location", format!("{url}/moved?x=y")));
    let hub_of_moved = hub(&moved, weights());
    let (_folder, first) = settings(&hub_of_moved.url());
    assert_eq!(fs::read(fetch(&first, LARGE).unwrap()).unwrap(), weights());
    assert_eq!(storage.downloads()[0].path, "/moved?x=y");

    let endless = Server::start(|_| Reply::status(302).with("Location", "/again?secret"));
    let hub_of_endless = hub(&endless, weights());
    let (_folder, second) = settings(&hub_of_endless.url());
    let error = fetch(&second, LARGE).unwrap_err().to_string();
    assert!(error.contains("too many redirects") && !error.contains("secret"), "{error}");
    assert!(blobs(&second).is_empty());
}

#[test]
fn the_token_is_sent_only_to_the_hub() {
    let storage = Server::start(|request| Reply::file(&weights(), request));
    let hub = hub(&storage, weights());
    let (_folder, mut settings) = settings(&hub.url());
    settings.token = Some("hf_secret".to_owned());
    fetch(&settings, LARGE).unwrap();
    assert!(hub.requests().iter().all(|request| request.header("authorization") == Some("Bearer hf_secret")));
    assert!(!storage.requests().is_empty());
    assert!(storage.requests().iter().all(|request| request.header("authorization").is_none()));
    assert!(!format!("{settings:?}").contains("hf_secret"));
}

#[test]
fn the_token_is_sent_again_after_a_redirect_within_the_hub() {
    let hub = Server::start(|request| match request.path.as_str() {
        "/api/config.yaml" => {
            Reply::file(b"text", request).with("ETag", "\"5af3\"").with("X-Repo-Commit", COMMIT)
        }
        _ => Reply::status(307).with("Location", "/api/config.yaml"),
    });
    let (_folder, mut settings) = settings(&hub.url());
    settings.token = Some("hf_secret".to_owned());
    assert_eq!(fs::read(fetch(&settings, "config.yaml").unwrap()).unwrap(), b"text");
    assert_eq!(hub.requests().len(), 4, "HEAD and GET, each with a redirect");
    assert!(hub.requests().iter().all(|request| request.header("authorization") == Some("Bearer hf_secret")));
}

#[test]
fn requests_ask_for_uncompressed_content() {
    let storage = Server::start(|request| Reply::file(&weights(), request));
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    fetch(&settings, LARGE).unwrap();
    for request in hub.requests().iter().chain(&storage.requests()) {
        assert_eq!(request.header("accept-encoding"), Some("identity"));
        assert!(request.header("user-agent").unwrap().starts_with("diarize-convert/"));
    }
}

#[test]
fn revisions_and_files_are_encoded_in_urls() {
    let hub = Server::start(|request| {
        Reply::file(b"text", request).with("ETag", "\"5af3\"").with("X-Repo-Commit", COMMIT)
    });
    let (_folder, settings) = settings(&hub.url());
    fetch_with(&settings, &format!("{REPO}@refs/pr/1"), "a b/c?.bin", &mut |_| {}).unwrap();
    assert_eq!(hub.requests()[0].path, "/org/model/resolve/refs%2Fpr%2F1/a%20b/c%3F.bin");
    assert_eq!(hub.downloads()[0].path, format!("/org/model/resolve/{COMMIT}/a%20b/c%3F.bin"));
    assert_eq!(fs::read_to_string(settings.cache.join("models--org--model/refs/refs/pr/1")).unwrap(), COMMIT);
}
