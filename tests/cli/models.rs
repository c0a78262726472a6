//! `diarize model`: shows, lists and downloads models.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    thread,
};

use diarize_testkit::repository;
use sha2::{Digest, Sha256};
use tempfile::tempdir;

use crate::{
    common::{names, stderr, stdout},
    hub_server::{Reply, Server},
};

/// Runs `diarize model` with an empty cache of the hub, without a network.
fn model(cache: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_diarize"))
        .arg("model")
        .args(arguments)
        .env("HF_HUB_CACHE", cache)
        .env("HF_HUB_OFFLINE", "1")
        .env("DIARIZE_MODELS", cache.join("models"))
        .env_remove("DIARIZE_CATALOGUE")
        .output()
        .unwrap()
}

fn weights() -> String {
    repository("weights/default").display().to_string()
}

#[test]
fn info_is_the_manifest_of_the_model() {
    let cache = tempdir().unwrap();
    let manifest = fs::read_to_string(Path::new(&weights()).join("manifest.toml")).unwrap();
    let name = manifest.lines().find(|line| line.starts_with("name = ")).unwrap();
    let (bundled, weights) = (model(cache.path(), &["info"]), model(cache.path(), &["info", &weights()]));
    assert!(stdout(&bundled).contains(name), "{}", stdout(&bundled));
    let networks = stdout(&bundled).lines().filter(|line| line.ends_with(" MB, weights in q8"));
    assert_eq!(networks.count(), 2, "{}", stdout(&bundled));
    assert_eq!(stdout(&bundled), stdout(&weights));
}

#[test]
fn the_cache_is_listed_with_the_bundled_model() {
    let cache = tempdir().unwrap();
    let repository = cache.path().join("models--pyannote--segmentation-3.0");
    for (name, commit) in [("main", "a".repeat(40)), ("v1", "b".repeat(40))] {
        fs::create_dir_all(repository.join("snapshots").join(&commit)).unwrap();
        fs::create_dir_all(repository.join("refs")).unwrap();
        fs::write(repository.join("refs").join(name), commit).unwrap();
    }
    let list = model(cache.path(), &["list"]);
    assert!(stdout(&list).contains("(bundled)"));
    assert!(stdout(&list).contains("pyannote/segmentation-3.0"), "{}", stdout(&list));
    for (revision, commit) in [("", "a"), ("@v1", "b")] {
        let path = model(cache.path(), &["path", &format!("pyannote/segmentation-3.0{revision}")]);
        let expected = repository.join("snapshots").join(commit.repeat(40));
        assert_eq!(stdout(&path).trim_end(), expected.to_str().unwrap(), "{}", stderr(&path));
    }
    let empty = cache.path().join("none");
    assert!(!stdout(&model(&empty, &["list"])).contains("hub cache"));
}

#[test]
fn a_missing_model_says_how_to_get_it() {
    let cache = tempdir().unwrap();
    let path = model(cache.path(), &["path", "pyannote/nothing"]);
    assert_eq!(path.status.code(), Some(1));
    assert!(stderr(&path).contains("diarize model download pyannote/nothing"), "{}", stderr(&path));
    let new = cache.path().join("new");
    for more in [&[][..], &["--output", new.to_str().unwrap()]] {
        let download = model(cache.path(), &[&["download", "pyannote/nothing"], more].concat());
        assert_eq!(download.status.code(), Some(1));
        assert!(stderr(&download).contains("HF_HUB_OFFLINE"), "{}", stderr(&download));
    }
    assert!(!new.exists(), "nothing was written");
}

#[test]
fn a_model_is_written_to_a_directory_and_never_over_another() {
    let cache = tempdir().unwrap();
    let output = cache.path().join("mine");
    let output = output.to_str().unwrap();
    let written = model(cache.path(), &["download", &weights(), "--output", output]);
    assert!(written.status.success(), "{}", stderr(&written));
    assert_eq!(stdout(&model(cache.path(), &["info", output])), stdout(&model(cache.path(), &["info"])));
    let again = model(cache.path(), &["download", &weights(), "--output", output]);
    assert!(!again.status.success() && stderr(&again).contains("already contains a model"));
}

#[test]
fn the_bundled_model_has_the_name_of_the_list() {
    let cache = tempdir().unwrap();
    let bundled = model(cache.path(), &["info"]);
    for name in ["bundled", "(bundled)"] {
        assert_eq!(stdout(&model(cache.path(), &["info", name])), stdout(&bundled));
    }
}

/// What a clone without Git LFS or a download without a token leaves behind.
#[test]
fn pointers_and_web_pages_are_called_what_they_are() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    let page = "\n<!DOCTYPE html>\n<html><title>Log in</title></html>";
    for (content, told) in [(pointer, "a Git LFS pointer"), (page, "a web page")] {
        let directory = tempdir().unwrap();
        let copy = directory.path().join("mine");
        fs::create_dir(&copy).unwrap();
        for file in fs::read_dir(weights()).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
        for name in ["plda.safetensors", "segmentation.safetensors", "manifest.toml"] {
            fs::write(copy.join(name), content).unwrap();
            let output = model(directory.path(), &["info", copy.to_str().unwrap()]);
            let expected = format!("{name}: {told}, not the file itself: ");
            assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
        }
        for name in ["config.yaml", "pytorch_model.bin", "model.safetensors", "avg_model.pt", "a.ckpt"] {
            let folder = directory.path().join(format!("with-{name}"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(name), content).unwrap();
            for path in [folder.clone(), folder.join(name)] {
                let output = model(directory.path(), &["info", path.to_str().unwrap()]);
                let expected = format!("{name}: {told}, not the file itself: ");
                assert!(stderr(&output).contains(&expected), "{}", stderr(&output));
            }
        }
    }
}

/// Opening a pipe waits until something is written to it.
#[cfg(unix)]
#[test]
fn a_model_is_not_read_from_a_pipe() {
    let directory = tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let output = model(directory.path(), &["info", pipe.to_str().unwrap()]);
    assert!(stderr(&output).contains("not a file but a pipe or a device"), "{}", stderr(&output));
}

/// Two programs download one file into one cache: it is downloaded once, and both find it whole.
#[test]
fn programs_that_download_at_once_share_the_download() {
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
    let content = vec![7; 3_000_000];
    let hash = format!("{:x}", Sha256::digest(&content));
    let hub = Server::start(move |request| match request.path.rsplit_once("/resolve/") {
        Some(("/org/model", path)) if path.ends_with("pytorch_model.bin") => {
            Reply::file(&content, request).with("X-Repo-Commit", COMMIT).with("ETag", format!("\"{hash}\""))
        }
        _ => Reply::status(404).with("X-Error-Code", "EntryNotFound").with("X-Repo-Commit", COMMIT),
    });
    let cache = tempdir().unwrap();
    let download = || {
        Command::new(env!("CARGO_BIN_EXE_diarize"))
            .args(["model", "download", "org/model"])
            .env("HF_HUB_CACHE", cache.path())
            .env("HF_ENDPOINT", hub.url())
            .env_remove("HF_HUB_OFFLINE")
            .output()
            .unwrap()
    };
    let outputs =
        thread::scope(|scope| [(); 4].map(|()| scope.spawn(download)).map(|run| run.join().unwrap()));
    for output in outputs {
        // The content is not a network, which the program notices once it has read the whole file.
        assert!(stderr(&output).contains("pytorch_model.bin: unknown format"), "{}", stderr(&output));
    }
    let contents = hub.downloads().iter().filter(|request| request.path.ends_with("model.bin")).count();
    assert_eq!(contents, 1);
    let blobs = names(&cache.path().join("models--org--model/blobs"));
    assert_eq!(blobs.len(), 1, "{blobs:?}");
    assert_eq!(names(&cache.path().join("models--org--model/refs")), ["main"]);
}
