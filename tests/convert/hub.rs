//! Tests downloads from a hub, with local servers that implement its API.

use std::{
    env, fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use diarize_convert::hub::{Download, HubError, Settings, fetch_with};
use diarize_testkit::rerun;
use sha2::{Digest, Sha256};
use tempfile::{TempDir, tempdir};

use crate::hub_server::{Reply, Request, Server};

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
fn a_cached_file_is_not_downloaded_again() {
    let storage = Server::start(|request| Reply::file(&weights(), request));
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    let first = fetch(&settings, LARGE).unwrap();
    let second = fetch_with(&settings, REPO, LARGE, &mut |download| panic!("{download:?}")).unwrap();
    assert_eq!(first, second);
    assert_eq!(storage.downloads().len(), 1);

    // A commit never changes, so no request is needed.
    let asked = hub.requests().len();
    let pinned = fetch_with(&settings, &format!("{REPO}@{COMMIT}"), LARGE, &mut |_| {}).unwrap();
    assert_eq!(pinned, first);
    assert_eq!(hub.requests().len(), asked);

    // Another revision with the same content needs no download.
    let tagged = fetch_with(&settings, &format!("{REPO}@v1"), LARGE, &mut |_| {}).unwrap();
    assert_eq!(tagged, first);
    assert_eq!(fs::read_to_string(settings.cache.join("models--org--model/refs/v1")).unwrap(), COMMIT);
    assert_eq!(storage.downloads().len(), 1);
}

#[test]
fn an_interrupted_download_is_resumed() {
    let cuts = AtomicUsize::new(0);
    let storage = Server::start(move |request| {
        let reply = Reply::file(&weights(), request);
        let first = request.method == "GET" && cuts.fetch_add(1, Ordering::SeqCst) == 0;
        if first { reply.cut_after(150_000) } else { reply }
    });
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    let mut seen = Vec::new();
    let path = fetch_with(&settings, REPO, LARGE, &mut |download| seen.push(download.done)).unwrap();
    assert_eq!(fs::read(path).unwrap(), weights());
    let ranges: Vec<_> = storage.downloads().iter().map(Request::range).collect();
    assert_eq!(ranges, [None, Some(150_000..300_000)]);
    assert!(seen.is_sorted());
}

#[test]
fn a_later_call_resumes_an_earlier_download() {
    let storage = Server::start(|request| Reply::file(&weights(), request));
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    let part = part(&settings, &weights());
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    fs::write(&part, &weights()[..100_000]).unwrap();
    let mut first = None;
    let path = fetch_with(&settings, REPO, LARGE, &mut |download| {
        first.get_or_insert(download.done);
    });
    assert_eq!(fs::read(path.unwrap()).unwrap(), weights());
    assert_eq!(first, Some(100_000));
    assert_eq!(storage.downloads()[0].range(), Some(100_000..300_000));
    assert!(!part.exists());
}

#[test]
fn bytes_of_an_earlier_download_are_verified() {
    let storage = Server::start(|request| Reply::file(&weights(), request));
    let hub = hub(&storage, weights());
    for left in [vec![7; 100_000], vec![7; 300_000], vec![7; 400_000]] {
        let (_folder, settings) = settings(&hub.url());
        let part = part(&settings, &weights());
        fs::create_dir_all(part.parent().unwrap()).unwrap();
        fs::write(&part, left).unwrap();
        assert_eq!(fs::read(fetch(&settings, LARGE).unwrap()).unwrap(), weights());
    }
}

#[test]
fn storage_without_range_support_sends_everything_again() {
    let cuts = AtomicUsize::new(0);
    let storage = Server::start(move |request| {
        let first = request.method == "GET" && cuts.fetch_add(1, Ordering::SeqCst) == 0;
        let reply = Reply::body(&weights());
        if first { reply.cut_after(150_000) } else { reply }
    });
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    assert_eq!(fs::read(fetch(&settings, LARGE).unwrap()).unwrap(), weights());
}

#[test]
fn a_server_that_does_not_send_the_rest_is_asked_for_the_whole_file() {
    for refusal in [
        (|| Reply::status(416)) as fn() -> Reply,
        || Reply::body(&weights()[..200_000]).but_status(206),
        || Reply::body(&weights()[..200_000]).but_status(206).with("Content-Range", "bytes 0-199999/300000"),
    ] {
        let storage = Server::start(move |request| match request.range() {
            Some(_) => refusal(),
            None => Reply::body(&weights()),
        });
        let hub = hub(&storage, weights());
        let (_folder, settings) = settings(&hub.url());
        let part = part(&settings, &weights());
        fs::create_dir_all(part.parent().unwrap()).unwrap();
        fs::write(&part, &weights()[..100_000]).unwrap();
        assert_eq!(fs::read(fetch(&settings, LARGE).unwrap()).unwrap(), weights());
        let ranges: Vec<_> = storage.downloads().iter().map(Request::range).collect();
        assert_eq!(ranges, [Some(100_000..300_000), None]);
    }
}

#[test]
fn a_part_that_was_not_requested_does_not_become_a_cached_file() {
    let storage = Server::start(|_| Reply::body(&weights()).but_status(206));
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    let error = fetch(&settings, LARGE).unwrap_err();
    assert!(matches!(error, HubError::Status { status: 206, .. }), "{error:?}");
    assert!(blobs(&settings).is_empty());
}

#[test]
fn a_download_may_be_interrupted_often_if_each_attempt_receives_new_bytes() {
    let storage = Server::start(|request| {
        let reply = Reply::file(&weights(), request);
        if request.range().is_some_and(|range| range.start == 250_000) {
            reply
        } else {
            reply.cut_after(50_000)
        }
    });
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    assert_eq!(fs::read(fetch(&settings, LARGE).unwrap()).unwrap(), weights());
    assert_eq!(storage.downloads().len(), 6);
}

#[test]
fn temporary_errors_of_the_storage_server_are_retried() {
    let troubles = AtomicUsize::new(0);
    let storage = Server::start(move |request| match troubles.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::status(503),
        1 => Reply::status(429),
        _ => Reply::file(&weights(), request),
    });
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    assert_eq!(fs::read(fetch(&settings, LARGE).unwrap()).unwrap(), weights());
    assert_eq!(storage.downloads().len(), 3);
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

#[test]
fn a_missing_token_is_reported() {
    let hub = refusing(401, "RepoNotFound");
    let (_folder, settings) = settings(&hub.url());
    let error = fetch(&settings, LARGE).unwrap_err();
    assert!(matches!(error, HubError::NeedsToken { .. }), "{error:?}");
    let page = format!("open {}/org/model ", hub.url());
    assert!(error.to_string().contains(&page) && error.to_string().contains("HF_TOKEN"), "{error}");
}

#[test]
fn a_rejected_token_is_reported() {
    let hub = refusing(401, "RepoNotFound");
    let (_folder, mut settings) = settings(&hub.url());
    for token in ["hf_expired", "hf_two\nlines"] {
        settings.token = Some(token.to_owned());
        let error = fetch(&settings, LARGE).unwrap_err();
        assert!(matches!(error, HubError::TokenRefused { .. }), "{error:?}");
    }
}

#[test]
fn the_error_for_a_gated_repository_says_what_to_do() {
    let hub = refusing(403, "GatedRepo");
    let (_folder, mut settings) = settings(&hub.url());
    settings.token = Some("hf_secret".to_owned());
    let error = fetch(&settings, LARGE).unwrap_err();
    assert!(matches!(error, HubError::Gated { .. }), "{error:?}");
    let page = format!("open {}/org/model , accept the conditions", hub.url());
    for words in [page.as_str(), "HF_TOKEN", "message of the hub"] {
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(!error.to_string().contains("hf_secret"), "{error}");
}

#[test]
fn errors_name_missing_repositories_revisions_and_files() {
    for (code, expected) in [
        ("RepoNotFound", "there is no model repository"),
        ("RevisionNotFound", "has no revision `main`"),
        ("EntryNotFound", "there is no file `embedding/pytorch_model.bin` at revision `main`"),
    ] {
        let hub = refusing(404, code);
        let (_folder, settings) = settings(&hub.url());
        let error = fetch(&settings, LARGE).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(&hub.url()), "{error}");
    }
}

#[test]
fn temporary_server_errors_are_retried() {
    let troubles = AtomicUsize::new(0);
    let hub = Server::start(move |request| match troubles.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Reply::status(503),
        _ => Reply::file(b"text", request).with("ETag", "\"5af3\"").with("X-Repo-Commit", COMMIT),
    });
    let (_folder, settings) = settings(&hub.url());
    assert_eq!(fs::read(fetch(&settings, "config.yaml").unwrap()).unwrap(), b"text");
}

#[test]
fn invalid_responses_are_rejected() {
    for reply in [
        (|| Reply::body(b"<html>")) as fn() -> Reply,
        || Reply::body(b"x").with("ETag", "\"5af3\""),
        || Reply::body(b"x").with("ETag", "\"../../x\"").with("X-Repo-Commit", COMMIT),
        || Reply::body(b"x").with("ETag", "\"5af3\"").with("X-Repo-Commit", "../../../x"),
        || Reply::status(307).with("Location", "/again"),
    ] {
        let hub = Server::start(move |_| reply());
        let (_folder, settings) = settings(&hub.url());
        let error = fetch(&settings, "config.yaml").unwrap_err();
        assert!(matches!(error, HubError::NotAHub { .. }), "{error:?}");
        assert!(blobs(&settings).is_empty());
    }
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
fn users_passwords_and_queries_of_urls_are_not_shown() {
    let nobody = Server::start(|_| Reply::status(500)).url();
    let gated = refusing(401, "GatedRepo");
    let missing = refusing(404, "EntryNotFound");
    let failing = refusing(418, "");
    let page = Server::start(|_| Reply::body(b"<html>"));
    let storage = Server::start(|_| Reply::status(403));
    let url = storage.url().replace("http://", "http://bob:secret@");
    let moved = Server::start(move |_| redirect_to(&url, &weights()));
    for url in [nobody, gated.url(), missing.url(), failing.url(), page.url(), moved.url()] {
        for (before, after) in [("bob:secret@", ""), ("bob:secret@", "?x=secret"), ("", "#secret")] {
            let (_folder, mut settings) =
                settings(&format!("{}{after}", url.replace("//", &format!("//{before}"))));
            for (offline, token) in [(false, None), (false, Some("x".to_owned())), (true, None)] {
                (settings.offline, settings.token) = (offline, token);
                let error = fetch(&settings, LARGE).unwrap_err();
                let shown = format!("{error} {error:?} {settings:?}");
                assert!(!shown.contains("secret") && !shown.contains("bob"), "{shown}");
                assert!(shown.contains("http://127.0.0.1:"), "{shown}");
            }
        }
    }
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

#[test]
fn a_moved_branch_leads_to_the_new_commit() {
    let moved = "ffffffffffffffffffffffffffffffffffffffff";
    let requests = AtomicUsize::new(0);
    let hub = Server::start(move |request| {
        let (content, etag, commit) = match requests.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => (&b"old"[..], "\"01d\"", COMMIT),
            _ => (&b"newer"[..], "\"0e3\"", moved),
        };
        Reply::file(content, request).with("ETag", etag).with("X-Repo-Commit", commit)
    });
    let (_folder, mut settings) = settings(&hub.url());
    assert_eq!(fs::read(fetch(&settings, "config.yaml").unwrap()).unwrap(), b"old");
    assert_eq!(fs::read(fetch(&settings, "config.yaml").unwrap()).unwrap(), b"newer");
    assert_eq!(fs::read_to_string(settings.cache.join("models--org--model/refs/main")).unwrap(), moved);
    settings.offline = true;
    assert_eq!(fs::read(fetch(&settings, "config.yaml").unwrap()).unwrap(), b"newer");
}

#[test]
fn offline_mode_uses_only_the_cache() {
    let storage = Server::start(|request| Reply::file(&weights(), request));
    let hub = hub(&storage, weights());
    let (_folder, mut settings) = settings(&hub.url());
    settings.offline = true;
    let error = fetch(&settings, LARGE).unwrap_err();
    assert!(matches!(error, HubError::Offline { .. }), "{error:?}");
    assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");
    assert!(hub.requests().is_empty());

    settings.offline = false;
    let online = fetch(&settings, LARGE).unwrap();
    let asked = hub.requests().len();
    settings.offline = true;
    assert_eq!(fetch(&settings, LARGE).unwrap(), online);
    assert!(matches!(fetch(&settings, "other.bin"), Err(HubError::Offline { .. })));
    assert_eq!(hub.requests().len(), asked);
}

#[test]
fn the_cache_is_used_if_the_hub_is_unreachable() {
    let storage = Server::start(|request| Reply::file(&weights(), request));
    let hub = hub(&storage, weights());
    let (_folder, mut settings) = settings(&hub.url());
    let online = fetch(&settings, LARGE).unwrap();
    let nobody = Server::start(|_| Reply::status(500)).url();
    settings.endpoint = nobody.clone();
    assert_eq!(fetch(&settings, LARGE).unwrap(), online);
    let error = fetch(&settings, "other.bin").unwrap_err();
    assert!(matches!(error, HubError::Network { .. }), "{error:?}");
    assert!(error.to_string().contains(&nobody), "{error}");

    let refusing = refusing(401, "GatedRepo");
    settings.endpoint = refusing.url();
    assert_eq!(fetch(&settings, LARGE).unwrap(), online);
}

#[test]
fn the_cache_is_used_if_there_is_another_page_or_the_download_is_interrupted() {
    let storage = Server::start(|request| Reply::file(&weights(), request));
    let first = hub(&storage, weights());
    let (_folder, mut settings) = settings(&first.url());
    let cached = fetch(&settings, LARGE).unwrap();

    let login = Server::start(|request| match request.path.as_str() {
        "/login" => Reply::body(b"<html>"),
        _ => Reply::status(302).with("Location", "/login"),
    });
    let endless = Server::start(|_| Reply::status(302).with("Location", "/again"));
    let cut = Server::start(|_| {
        let moved = "ffffffffffffffffffffffffffffffffffffffff";
        Reply::body(SMALL).cut_after(0).with("ETag", SMALL_HASH).with("X-Repo-Commit", moved)
    });
    for hub in [login, endless, cut] {
        settings.endpoint = hub.url();
        assert_eq!(fetch(&settings, LARGE).unwrap(), cached);
        assert!(fetch(&settings, "other.bin").is_err());
    }
}

#[test]
fn the_commit_of_a_branch_may_end_with_a_newline() {
    let storage = Server::start(|request| Reply::file(&weights(), request));
    let hub = hub(&storage, weights());
    let (_folder, mut settings) = settings(&hub.url());
    let online = fetch(&settings, LARGE).unwrap();
    settings.offline = true;
    let reference = settings.cache.join("models--org--model/refs/main");
    fs::write(&reference, format!("{COMMIT}\n")).unwrap();
    assert_eq!(fetch(&settings, LARGE).unwrap(), online);
    fs::write(&reference, format!("../snapshots/{COMMIT}")).unwrap();
    assert!(matches!(fetch(&settings, LARGE), Err(HubError::Offline { .. })));
}

#[test]
fn concurrent_calls_download_once() {
    let storage = Server::start(|request| Reply::file(&weights(), request));
    let hub = hub(&storage, weights());
    let (_folder, settings) = settings(&hub.url());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(fs::read(fetch(&settings, LARGE).unwrap()).unwrap(), weights()));
        }
    });
    assert_eq!(storage.downloads().len(), 1);
}

#[test]
fn invalid_names_and_endpoints_are_rejected() {
    let (_folder, mut settings) = settings("http://127.0.0.1:1");
    assert!(matches!(fetch_with(&settings, "model", LARGE, &mut |_| {}), Err(HubError::InvalidRepo { .. })));
    assert!(matches!(fetch(&settings, "../../x"), Err(HubError::InvalidFile { .. })));
    for endpoint in ["hub.example.org", "file:///etc", "data:x"] {
        settings.endpoint = endpoint.to_owned();
        assert!(matches!(fetch(&settings, LARGE), Err(HubError::InvalidEndpoint { .. })), "{endpoint}");
    }
}

/// Set in a separate process that only tries to reach a hub.
const REACH: &str = "DIARIZE_TEST_REACH_HUB";

/// Each environment needs a process of its own.
#[test]
fn the_proxy_of_the_environment_is_used() {
    if env::var_os(REACH).is_some() {
        let (_folder, settings) = settings("http://hub.example.org");
        println!("outcome: {}", fetch(&settings, LARGE).unwrap_err());
        return;
    }
    let proxy = Server::start(|_| Reply::status(403));
    let reach = |http_proxy: &str| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "hub::the_proxy_of_the_environment_is_used"]);
        rerun(command.env_clear().env(REACH, "").env("http_proxy", http_proxy))
    };
    let printed = reach(&proxy.url());
    assert!(
        printed.contains("outcome: cannot reach http://hub.example.org (CONNECT proxy failed"),
        "{printed}"
    );
    let request = &proxy.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("CONNECT", "hub.example.org:80"));

    let printed = reach("htp://bob:secret@proxy.example.org");
    assert!(printed.contains("outcome: the environment variable http_proxy is not the URL"), "{printed}");
    assert!(!printed.contains("secret"), "{printed}");
}

/// Set in a separate process that only prints its settings.
const PRINT: &str = "DIARIZE_TEST_PRINT_SETTINGS";

/// Each environment needs a process of its own.
#[test]
fn settings_come_from_the_environment() {
    if env::var_os(PRINT).is_some() {
        let Settings { endpoint, token, cache, offline } = Settings::from_env();
        println!("settings: {endpoint} {} {} {offline}", token.as_deref().unwrap_or("-"), cache.display());
        return;
    }
    let folder = tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    fs::create_dir_all(folder.path().join("hf")).unwrap();
    fs::write(folder.path().join("hf/token"), "hf_of_file\n").unwrap();
    fs::write(folder.path().join("elsewhere"), "hf_elsewhere").unwrap();
    let hf_home = format!("{home}/hf");

    let read = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "hub::settings_come_from_the_environment"]);
        let printed = rerun(command.env_clear().env(PRINT, "").envs(variables.iter().copied()));
        let line =
            printed.lines().find_map(|line| line.split_once("settings: ").map(|(_, rest)| rest.to_owned()));
        line.unwrap_or_else(|| panic!("{printed}"))
    };
    let hub = "https://huggingface.co";

    #[cfg(unix)]
    assert_eq!(read(&[("HOME", home)]), format!("{hub} - {home}/.cache/huggingface/hub false"));
    assert_eq!(read(&[("XDG_CACHE_HOME", home)]), format!("{hub} - {home}/huggingface/hub false"));
    assert_eq!(read(&[("HF_HOME", &hf_home)]), format!("{hub} hf_of_file {hf_home}/hub false"));
    assert_eq!(
        read(&[("HF_HOME", &hf_home), ("HF_TOKEN", " hf_of_variable\n")]),
        format!("{hub} hf_of_variable {hf_home}/hub false")
    );
    assert_eq!(
        read(&[("HF_HOME", &hf_home), ("HF_TOKEN", ""), ("HF_TOKEN_PATH", &format!("{home}/elsewhere"))]),
        format!("{hub} hf_elsewhere {hf_home}/hub false")
    );
    assert_eq!(read(&[("HF_HOME", home), ("HUGGINGFACE_HUB_CACHE", "/old")]), format!("{hub} - /old false"));
    assert_eq!(
        read(&[("HF_HOME", home), ("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")]),
        format!("{hub} - /new false")
    );
    for (value, offline) in
        [("1", true), ("TRUE", true), ("yes", true), ("On", true), ("0", false), ("", false)]
    {
        assert_eq!(
            read(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", home), ("HF_HUB_OFFLINE", value)]),
            format!("{hub} - /c {offline}")
        );
    }
    assert_eq!(
        read(&[("HF_HUB_CACHE", "/c"), ("HF_HOME", home), ("HF_ENDPOINT", "https://mirror.example.org/hf/")]),
        "https://mirror.example.org/hf - /c false"
    );
}
