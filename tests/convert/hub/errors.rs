//! What the errors say, and what they hide.

use diarize_convert::hub::{HubError, fetch_with};

use super::{COMMIT, LARGE, blobs, fetch, redirect_to, refusing, settings, weights};
use crate::hub_server::{Reply, Server};

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
    let page = format!("open {}/org/model and accept the conditions", hub.url());
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
fn invalid_names_and_endpoints_are_rejected() {
    let (_folder, mut settings) = settings("http://127.0.0.1:1");
    assert!(matches!(fetch_with(&settings, "model", LARGE, &mut |_| {}), Err(HubError::InvalidRepo { .. })));
    assert!(matches!(fetch(&settings, "../../x"), Err(HubError::InvalidFile { .. })));
    for endpoint in ["hub.example.org", "file:///etc", "data:x"] {
        settings.endpoint = endpoint.to_owned();
        assert!(matches!(fetch(&settings, LARGE), Err(HubError::InvalidEndpoint { .. })), "{endpoint}");
    }
}
