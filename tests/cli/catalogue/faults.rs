//! Networks, hubs, mirrors and lists with faults.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use super::{Hub, MAIN, MIRROR, MOVED, PINNED, PUBLISHER, files, normal, not_found, sha256};
use crate::{
    common::stderr,
    hub_server::{Reply, Request, Server},
};

/// The hash that the hub announces is the expected one, but the storage sends something else of the same length.
#[test]
fn a_file_with_the_wrong_hash_is_kept_nowhere() {
    let files = files();
    let wrong = files["tensorlake/segmentation-3.0/pytorch_model.bin"]
        .iter()
        .map(|byte| byte ^ 1)
        .collect::<Vec<_>>();
    let hashes = [sha256(&files["tensorlake/segmentation-3.0/pytorch_model.bin"]), sha256(&wrong)];
    let storage = Server::start(move |request| Reply::file(&wrong, request));
    let url = storage.url();
    for announced in [hashes[0].clone(), "of-no-hash".to_owned(), "1".repeat(40)] {
        let (url, size) = (url.clone(), files["tensorlake/segmentation-3.0/pytorch_model.bin"].len());
        let hub = Hub::with(files.clone(), move |_, _, path| {
            (path == "pytorch_model.bin").then(|| {
                Reply::status(302)
                    .with("Location", format!("{url}/blob"))
                    .with("X-Repo-Commit", MAIN)
                    .with("X-Linked-Etag", format!("\"{announced}\""))
                    .with("X-Linked-Size", size)
            })
        });
        let output = hub.download(&["3.1"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains("3.1 could not be downloaded from any of its sources"),
            "{}",
            stderr(&output)
        );
        assert_eq!(hub.kept(), [""; 0]);
        let mut folders = vec![hub.user.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                match entry.path().is_dir() {
                    true => folders.push(entry.path()),
                    false => {
                        let bytes = fs::read(entry.path()).unwrap();
                        assert_ne!(sha256(&bytes), hashes[1], "{}", entry.path().display());
                    }
                }
            }
        }
    }
}

#[test]
fn a_download_resumes_and_leaves_nothing_half() {
    let files = files();
    let segmentation = files[&format!("{MIRROR}/segmentation/pytorch_model.bin")].clone();
    let path = format!("/{}", sha256(&segmentation));
    let half = segmentation.len() / 2;
    let broken = Arc::new(Mutex::new(true));
    let state = broken.clone();
    let bytes = segmentation.clone();
    // A storage server whose connections break.
    let storage = Server::start(move |request| match (*state.lock().unwrap(), request.range()) {
        (true, None) => Reply::body(&bytes).cut_after(half),
        (true, Some(_)) => Reply::body(&bytes[half..])
            .but_status(206)
            .cut_after(0)
            .with("Content-Range", format!("bytes {half}-/")),
        (false, _) => Reply::file(&bytes, request),
    });
    let url = storage.url();
    let hash = sha256(&segmentation);
    let size = segmentation.len();
    let hub = Hub::with(files, move |_, repository, file| {
        (repository == MIRROR && file == "segmentation/pytorch_model.bin").then(|| {
            Reply::status(302)
                .with("Location", format!("{url}{path}"))
                .with("X-Repo-Commit", PINNED)
                .with("X-Linked-Etag", format!("\"{hash}\""))
                .with("X-Linked-Size", size)
        })
    });
    let output = hub.download(&["community-1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("try again to resume it"), "{}", stderr(&output));
    assert!(hub.kept().iter().all(|name| name == "downloads.toml"), "{:?}", hub.kept());

    *broken.lock().unwrap() = false;
    let asked = storage.requests().len();
    let output = hub.download(&["community-1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let ranges: Vec<_> = storage.requests()[asked..].iter().filter_map(Request::range).collect();
    assert!(ranges.len() == 1 && ranges[0] == (half..size), "{ranges:?}");
}

#[test]
fn a_revision_that_is_gone_or_has_moved_is_reported() {
    let hub = Hub::start(|_, repository, _| (repository == MIRROR).then(|| not_found("RevisionNotFound")));
    let output = hub.download(&["community-1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("has no revision `{PINNED}`")), "{}", stderr(&output));
    assert_eq!(hub.kept(), [""; 0]);

    let now = Arc::new(Mutex::new((MAIN, false)));
    let state = now.clone();
    let file = "Wespeaker/wespeaker-voxceleb-resnet34-LM/avg_model";
    let old = files()[file].clone();
    let hub = Hub::with(files(), move |_, repository, path| {
        let (commit, other) = *state.lock().unwrap();
        (format!("{repository}/{path}") == file).then(|| {
            // At the end of the file is a weight.
            let mut bytes = old.clone();
            *bytes.last_mut().unwrap() ^= u8::from(other);
            Reply::body(&bytes).with("ETag", format!("\"{}\"", sha256(&bytes))).with("X-Repo-Commit", commit)
        })
    });
    let again = || {
        let _ = fs::remove_dir_all(hub.models().join("wespeaker-resnet34"));
        let _ = fs::remove_dir_all(hub.user.path().join("hf"));
        hub.download(&["wespeaker-resnet34"])
    };
    assert!(again().status.success());
    let same = again();
    assert!(same.status.success() && !stderr(&same).contains("moved"), "{}", stderr(&same));
    // The same commit cannot have another content.
    *now.lock().unwrap() = (MAIN, true);
    let forged = again();
    assert_eq!(forged.status.code(), Some(1));
    assert!(stderr(&forged).contains("although its commit is the same"), "{}", stderr(&forged));
    *now.lock().unwrap() = (MOVED, true);
    let moved = again();
    assert!(moved.status.success(), "{}", stderr(&moved));
    assert!(
        stderr(&moved).contains(&format!("has moved from commit {MAIN} to {MOVED}")),
        "{}",
        stderr(&moved)
    );
    assert!(stderr(&moved).contains("the file has changed"), "{}", stderr(&moved));
    // What was at the first commit is still known.
    *now.lock().unwrap() = (MAIN, true);
    let back = again();
    assert_eq!(back.status.code(), Some(1));
    assert!(stderr(&back).contains("although its commit is the same"), "{}", stderr(&back));
}

#[test]
fn a_model_that_cannot_be_converted_leaves_nothing() {
    let mut files = files();
    for repository in [MIRROR, PUBLISHER] {
        files.insert(format!("{repository}/embedding/pytorch_model.bin"), b"\x80\x02}.".to_vec());
    }
    let hub = Hub::with(files, normal);
    // What a killed process left is removed.
    fs::create_dir_all(hub.models().join(".unfinished-abc/community-1")).unwrap();
    let output = hub.download(&["community-1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("not a file written by torch.save"), "{}", stderr(&output));
    assert_eq!(hub.kept(), [""; 0]);
    let mine = hub.user.path().join("mine");
    let output = hub.download(&["community-1", "--output", mine.to_str().unwrap()]);
    assert!(!output.status.success() && !mine.exists(), "{}", stderr(&output));
}

#[test]
fn a_list_of_ones_own_is_checked() {
    let hub = Hub::start(normal);
    let list = hub.user.path().join("catalogue.toml");
    let text = fs::read_to_string(&list).unwrap();
    let show = |text: &str| {
        fs::write(&list, text).unwrap();
        hub.run(&["model", "list"])
    };
    for (from, to, told) in [
        ("name = \"3.1\"", "name = \"../3.1\"", "a name consists of letters"),
        ("path = \"config.yaml\"", "path = \"../config.yaml\"", "is not a path inside the model"),
        ("\"tensorlake/segmentation-3.0@main\"", "\"segmentation\"", "is not the name of a repository"),
        ("path = \"config.yaml\"", "path = \"other.yaml\"", "neither config nor a file config.yaml"),
        ("license = \"CC-BY-4.0\"", "license = \"GPL-3.0\"", "no text of GPL-3.0"),
        ("megabytes = 33", "megabyte = 33", "megabyte"),
        ("name = \"3.1\"", "name = \"community-1\"", "two models have this name"),
        ("name = \"3.1\"", "name = \"downloads.toml\"", "the name of the record of downloads"),
        ("name = \"3.1\"", "name = \"-\"", "begins with none of"),
        ("license = \"CC-BY-4.0\"", "license = \"\"", "its license is empty"),
        ("sha256 = \"", "sha256 = \"x", "is not a SHA-256"),
    ] {
        assert!(text.contains(from), "{from}");
        let output = show(&text.replacen(from, to, 1));
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("not a list of models"), "{}", stderr(&output));
        assert!(stderr(&output).contains(told), "{told}: {}", stderr(&output));
    }
    assert!(show(&text).status.success());
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    let hub = Hub::start(normal);
    let proxy = Server::start(|_| Reply::status(403));
    let output = hub
        .command(&["model", "download", "community-1"])
        .env("HF_ENDPOINT", "http://hub.example.org")
        .env("http_proxy", proxy.url())
        .env_remove("no_proxy")
        .env_remove("NO_PROXY")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot reach http://hub.example.org"), "{}", stderr(&output));
    assert_eq!(proxy.requests()[0].path, "hub.example.org:80");
    assert_eq!(hub.kept(), [""; 0]);
}
