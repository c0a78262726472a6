//! Downloads that break off and go on.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use diarize_convert::hub::{HubError, fetch_with};

use super::{COMMIT, LARGE, REPO, blobs, fetch, hub, part, settings, weights};
use crate::hub_server::{Reply, Request, Server};

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
fn temporary_server_errors_are_retried() {
    let troubles = AtomicUsize::new(0);
    let hub = Server::start(move |request| match troubles.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Reply::status(503),
        _ => Reply::file(b"text", request).with("ETag", "\"5af3\"").with("X-Repo-Commit", COMMIT),
    });
    let (_folder, settings) = settings(&hub.url());
    assert_eq!(fs::read(fetch(&settings, "config.yaml").unwrap()).unwrap(), b"text");
}
