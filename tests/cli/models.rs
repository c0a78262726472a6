//! `diarize model`: shows, lists and downloads models.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use diarize_testkit::repository;
use tempfile::tempdir;

use crate::common::{stderr, stdout};

/// Runs `diarize model` with an empty cache of the hub, without a network.
fn model(cache: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_diarize"))
        .arg("model")
        .args(arguments)
        .env("HF_HUB_CACHE", cache)
        .env("HF_HUB_OFFLINE", "1")
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
    assert_eq!(stdout(&bundled), stdout(&weights));
}

#[test]
fn the_cache_is_listed_with_the_bundled_model() {
    let cache = tempdir().unwrap();
    fs::create_dir_all(cache.path().join("models--pyannote--segmentation-3.0")).unwrap();
    let list = model(cache.path(), &["list"]);
    assert!(stdout(&list).contains("(bundled)"));
    assert!(stdout(&list).contains("pyannote/segmentation-3.0"), "{}", stdout(&list));
    let path = model(cache.path(), &["path", "pyannote/segmentation-3.0"]);
    assert!(stdout(&path).trim_end().ends_with("models--pyannote--segmentation-3.0"));
    let empty = cache.path().join("none");
    assert_eq!(stdout(&model(&empty, &["list"])).lines().count(), 1);
}

#[test]
fn a_missing_model_says_how_to_get_it() {
    let cache = tempdir().unwrap();
    let path = model(cache.path(), &["path", "pyannote/nothing"]);
    assert_eq!(path.status.code(), Some(1));
    assert!(stderr(&path).contains("diarize model download pyannote/nothing"), "{}", stderr(&path));
    let download = model(cache.path(), &["download", "pyannote/nothing"]);
    assert_eq!(download.status.code(), Some(1));
    assert!(stderr(&download).contains("HF_HUB_OFFLINE"), "{}", stderr(&download));
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
