//! When the cache is used.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use diarize_convert::hub::{HubError, fetch_with};

use super::{COMMIT, LARGE, REPO, SMALL, SMALL_HASH, fetch, hub, refusing, settings, weights};
use crate::hub_server::{Reply, Server};

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
