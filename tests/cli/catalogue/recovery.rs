//! What is damaged, half done or not finite is neither recorded nor kept, and what can be repaired is.

use std::{fs, path::PathBuf};

use tempfile::tempdir;

use super::{Hub, MAIN, MIRROR, PINNED, PUBLISHER, SEGMENTATIONS, files, normal, not_found, sha256};
use crate::{
    common::{names, stderr, stdout},
    hub_server::{Reply, Server},
};

const WESPEAKER: &str = "Wespeaker/wespeaker-voxceleb-resnet34-LM";

/// Puts a file into the cache, as huggingface_hub does. Returns its path.
fn put(hub: &Hub, repository: &str, commit: &str, path: &str, bytes: &[u8]) -> PathBuf {
    let root = hub.user.path().join("hf/hub").join(format!("models--{}", repository.replace('/', "--")));
    let file = root.join("snapshots").join(commit).join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::create_dir_all(root.join("refs")).unwrap();
    fs::write(&file, bytes).unwrap();
    fs::write(root.join("refs/main"), commit).unwrap();
    file
}

#[test]
fn a_download_deletes_and_replaces_nothing_that_others_wrote_meanwhile() {
    let desk = tempdir().unwrap();
    let mine = desk.path().join("mine");
    for fails in [true, false] {
        let theirs = mine.clone();
        let hub = Hub::start(move |_, _, _| {
            fs::create_dir_all(&theirs).unwrap();
            fs::write(theirs.join("manifest.toml"), "theirs").unwrap();
            fails.then(|| not_found("RepoNotFound"))
        });
        let output = hub.download(&["3.1", "--output", mine.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert_eq!(names(&mine), ["manifest.toml"]);
        assert_eq!(fs::read_to_string(mine.join("manifest.toml")).unwrap(), "theirs");
        fs::remove_dir_all(&mine).unwrap();
    }
}

#[test]
fn a_damaged_file_of_the_cache_is_not_recorded_and_the_genuine_one_is_accepted_later() {
    let hub = Hub::start(normal);
    let files = files();
    let segmentation = &files[&format!("{}/pytorch_model.bin", SEGMENTATIONS[0])];
    put(&hub, SEGMENTATIONS[0], MAIN, "pytorch_model.bin", segmentation);
    let damaged = put(&hub, WESPEAKER, MAIN, "avg_model", b"\x80\x02}.");
    let offline = hub
        .command(&["model", "download", "wespeaker-resnet34"])
        .env("HF_HUB_OFFLINE", "1")
        .output()
        .unwrap();
    assert!(stderr(&offline).contains("not a file written by torch.save"), "{}", stderr(&offline));
    assert_eq!(hub.kept(), [""; 0]);
    // With a network, the hub's own hash tells.
    let online = hub.download(&["wespeaker-resnet34"]);
    assert_eq!(online.status.code(), Some(1));
    let told = format!("delete {} to download it again", damaged.canonicalize().unwrap().display());
    assert!(stderr(&online).contains(&told), "{}", stderr(&online));
    fs::remove_file(damaged).unwrap();
    let repaired = hub.download(&["wespeaker-resnet34"]);
    assert!(repaired.status.success(), "{}", stderr(&repaired));
}

#[test]
fn a_cached_file_of_a_pinned_commit_is_compared_with_the_hash_of_the_hub() {
    let hub = Hub::start(normal);
    let mut bytes = files()[&format!("{MIRROR}/embedding/pytorch_model.bin")].clone();
    // At the end of the file is a weight, which stays a number.
    *bytes.last_mut().unwrap() ^= 1;
    let changed = put(&hub, MIRROR, PINNED, "embedding/pytorch_model.bin", &bytes);
    let output = hub.download(&["community-1"]);
    assert_eq!(output.status.code(), Some(1));
    for told in ["is not the expected file", "to download it again", "--from-publisher"] {
        assert!(stderr(&output).contains(told), "{told}: {}", stderr(&output));
    }
    fs::remove_file(changed).unwrap();
    let output = hub.download(&["community-1"]);
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_model_with_a_value_that_is_not_finite_is_not_installed() {
    let mut files = files();
    for repository in [MIRROR, PUBLISHER] {
        let bytes = files.get_mut(&format!("{repository}/embedding/pytorch_model.bin")).unwrap();
        let end = bytes.len() - 4;
        bytes[end..].copy_from_slice(&f32::NAN.to_le_bytes());
    }
    let hub = Hub::with(files, normal);
    let output = hub.download(&["community-1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("non-finite"), "{}", stderr(&output));
    assert_eq!(hub.kept(), [""; 0]);
}

#[test]
fn an_incomplete_model_is_seen_and_replaced() {
    let hub = Hub::start(normal);
    let directory = hub.models().join("3.1");
    let here = || {
        let list = hub.run(&["model", "list"]);
        stdout(&list).lines().any(|line| line.starts_with("3.1 ") && line.contains(" yes "))
    };
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("LICENSE.txt"), "half").unwrap();
    for damage in 0..4 {
        assert!(!here(), "{damage}");
        let output = hub.download(&["3.1"]);
        assert!(output.status.success(), "{damage}: {}", stderr(&output));
        assert!(stderr(&output).contains("has no complete model and is replaced"), "{}", stderr(&output));
        assert!(here(), "{damage}");
        let embedding = directory.join("embedding.safetensors");
        match damage {
            0 => fs::remove_file(&embedding).unwrap(),
            1 => {
                let bytes = fs::read(&embedding).unwrap();
                fs::write(&embedding, &bytes[..bytes.len() - 1]).unwrap();
            }
            _ => fs::write(directory.join("manifest.toml"), "").unwrap(),
        }
    }
    assert_eq!(hub.kept(), ["3.1"]);
}

/// The hub refuses a stale token even for public files.
#[test]
fn mirrors_need_no_valid_token() {
    let hub = Hub::start(|request, _, _| request.header("authorization").map(|_| Reply::status(401)));
    let output = hub.command(&["model", "download", "3.1"]).env("HF_TOKEN", "hf_old").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("trying without a token"), "{}", stderr(&output));
}

/// The hub states no size, but the list does.
#[test]
fn an_answer_that_is_longer_than_the_size_in_the_list_is_cut() {
    let storage = Server::start(|_| Reply::body(&vec![0; 8 << 20]).without_length());
    let (url, hash) = (storage.url(), sha256(&files()["tensorlake/segmentation-3.0/pytorch_model.bin"]));
    let hub = Hub::start(move |_, _, path| {
        (path == "pytorch_model.bin").then(|| {
            Reply::status(302)
                .with("Location", format!("{url}/blob"))
                .with("X-Repo-Commit", MAIN)
                .with("X-Linked-Etag", format!("\"{hash}\""))
        })
    });
    let output = hub.download(&["3.1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("sent more bytes than the file has"), "{}", stderr(&output));
}

#[test]
fn errors_name_the_variables_and_the_way_out() {
    let hub = Hub::start(normal);
    let run = |variable: &str, value: &str, arguments: &[&str]| {
        let output = hub.command(arguments).env(variable, value).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        stderr(&output).to_owned()
    };
    let told = run("DIARIZE_CATALOGUE", "/nope", &["model", "download", "3.1"]);
    assert!(told.contains("/nope") && told.contains("DIARIZE_CATALOGUE"), "{told}");
    let told = run("DIARIZE_CATALOGUE", "/nope", &["model", "download", "org/other"]);
    assert!(told.contains("org/other") && !told.contains("/nope"), "{told}");
    let file = hub.user.path().join("catalogue.toml/models");
    let told = run("DIARIZE_MODELS", file.to_str().unwrap(), &["model", "download", "3.1"]);
    assert!(told.contains("set DIARIZE_MODELS to a folder"), "{told}");
    let told = run("HF_ENDPOINT", "http://127.0.0.1:9", &["model", "download", "community-1"]);
    assert_eq!(told.matches("cannot reach").count(), 1, "{told}");
    assert!(told.contains("--output DIR") && !told.contains("os error"), "{told}");
    let told = run("HF_TOKEN", "", &["model", "path", "nonsense"]);
    assert!(told.contains("diarize model list") && !told.contains("download nonsense"), "{told}");
    let told = run("HF_TOKEN", "", &["model", "path", "bundled"]);
    assert!(told.contains("is part of the program"), "{told}");
    let told = run("HF_TOKEN", "", &["model", "path", "3.1"]);
    assert!(told.contains("diarize model download 3.1"), "{told}");
}

#[test]
fn a_list_without_publishers_has_none_to_download_from() {
    let hub = Hub::start(normal);
    let list = hub.user.path().join("catalogue.toml");
    let text = fs::read_to_string(&list).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("publisher = "));
    fs::write(&list, lines.collect::<Vec<_>>().join("\n")).unwrap();
    let output = hub.download(&["3.1", "--from-publisher"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("names no publisher of 3.1"), "{}", stderr(&output));
    assert!(hub.server.requests().is_empty());
}
