//! What is downloaded, from where, and what the user is told.

use std::{fs, process::Command, thread};

use tempfile::tempdir;

use super::{Hub, MAIN, MIRROR, PINNED, PUBLISHER, SEGMENTATIONS, files, normal, not_found, sha256};
use crate::{
    common::{names, stderr, stdout, write_silence},
    hub_server::Reply,
};

#[test]
fn a_removed_model_is_gone_and_can_be_downloaded_again() {
    let hub = Hub::start(normal);
    let told = |arguments: &[&str]| {
        let output = hub.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        stderr(&output).to_owned()
    };
    assert!(told(&["model", "remove", "3.1"]).contains("3.1 is not on this machine"));
    let directory = stdout(&hub.download(&["3.1"])).to_owned();
    let output = hub.run(&["model", "remove", "3.1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), directory);
    assert!(stderr(&output).contains("stay in the hub cache"), "{}", stderr(&output));
    assert!(!hub.models().join("3.1").exists());
    assert_eq!(hub.kept(), [""; 0]);
    assert!(told(&["model", "path", "3.1"]).contains("diarize model download 3.1"));
    assert!(hub.download(&["3.1"]).status.success());
    // What is left of an interrupted download is removed, too.
    fs::remove_file(hub.models().join("3.1/manifest.toml")).unwrap();
    assert!(hub.run(&["model", "remove", "3.1"]).status.success());
    assert!(told(&["model", "remove", "bundled"]).contains("is part of the program"));
    assert!(told(&["model", "remove", "me/mine"]).contains("hub cache"));
}

#[test]
fn every_model_is_downloaded_converted_and_used_offline() {
    let hub = Hub::start(normal);
    let wav = hub.user.path().join("silence.wav");
    write_silence(&wav);
    for (name, license, author) in [
        ("community-1", "License: CC-BY-4.0", "BUT Speech@FIT"),
        ("3.1", "License: MIT AND CC-BY-4.0", "CNRS"),
        ("wespeaker-resnet34", "License: MIT AND CC-BY-4.0", "WeSpeaker"),
    ] {
        let before = hub.command(&["--model", name, wav.to_str().unwrap()]).output().unwrap();
        assert_eq!(before.status.code(), Some(2));
        assert!(stderr(&before).contains(&format!("get it once with `diarize model download {name}`")));

        let output = hub.download(&[name]);
        assert!(output.status.success(), "{}", stderr(&output));
        let directory = hub.models().join(name);
        assert_eq!(stdout(&output).trim_end(), directory.to_str().unwrap());
        for told in [author, "--from-publisher", "counts users"] {
            assert!(stderr(&output).contains(told), "{name}: {}", stderr(&output));
        }
        assert_eq!(stdout(&hub.run(&["model", "path", name])), stdout(&output));
        let info = hub.run(&["model", "info", name]);
        assert!(stdout(&info).contains(&format!("name = \"{name}\"")), "{}", stderr(&info));
        let notice = fs::read_to_string(directory.join("LICENSE.txt")).unwrap();
        for text in [license, author, "Source: ", "Changes: ", "creativecommons.org/licenses/by/4.0"] {
            assert!(notice.contains(text), "{name}: {notice}");
        }
        assert_eq!(notice.contains("Permission is hereby granted"), license.contains("MIT"), "{name}");
    }
    let manifest = fs::read_to_string(hub.models().join("community-1/manifest.toml")).unwrap();
    for text in
        [&format!("source = \"{MIRROR}@{PINNED}\""), "license = \"CC-BY-4.0\"", "name = \"community-1\""]
    {
        assert!(manifest.contains(text), "{manifest}");
    }
    let manifest = fs::read_to_string(hub.models().join("3.1/manifest.toml")).unwrap();
    assert!(
        manifest.contains("threshold = 0.7045654963945799")
            && manifest.contains("tensorlake/segmentation-3.0")
    );

    let list = hub.run(&["model", "list"]);
    let here = stdout(&list).lines().filter(|line| line.contains(" yes ")).count();
    assert_eq!(here, 4, "{}", stdout(&list));

    let asked = hub.server.requests().len();
    fs::remove_dir_all(hub.user.path().join("hf")).unwrap();
    for name in ["3.1", "wespeaker-resnet34"] {
        let run = hub
            .command(&["--model", name, wav.to_str().unwrap()])
            .env("HF_HUB_OFFLINE", "1")
            .output()
            .unwrap();
        assert!(run.status.success(), "{name}: {}", stderr(&run));
        let again = hub.download(&[name]);
        assert!(again.status.success() && stderr(&again).contains("already on this machine"));
    }
    assert_eq!(hub.server.requests().len(), asked, "a model on this machine needs no hub");
}

#[test]
fn the_list_shows_what_models_are_good_for_and_may_be_used_for() {
    let hub = Hub::start(normal);
    let list = hub.run(&["model", "list"]);
    for words in [
        "community-1",
        "CC-BY-4.0",
        "33 MB",
        "VBx",
        "3.1",
        "MIT AND CC-BY-4.0",
        "wespeaker-resnet34",
        "(bundled)",
    ] {
        assert!(stdout(&list).contains(words), "{words}: {}", stdout(&list));
    }
    let text = stdout(&list);
    let listed: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(listed[..5], ["NAME", "(bundled)", "community-1", "3.1", "wespeaker-resnet34"]);
    let whisper = ["tiny", "tiny.en", "base", "small", "medium", "large-v3", "large-v3-turbo"];
    assert_eq!(listed[5..], whisper.map(|size| format!("whisper-{size}")));
    assert!(hub.server.requests().is_empty());
}

#[test]
fn mirrors_are_tried_in_order() {
    // The first has another file, the second is gone.
    let hub = Hub::start(|_, repository, _| match repository {
        repository if repository == SEGMENTATIONS[0] => Some(
            Reply::body(b"other")
                .with("ETag", format!("\"{}\"", sha256(b"other")))
                .with("X-Repo-Commit", MAIN),
        ),
        repository if repository == SEGMENTATIONS[1] => Some(not_found("RepoNotFound")),
        _ => None,
    });
    let output = hub.download(&["3.1"]);
    assert!(output.status.success(), "{}", stderr(&output));
    for told in ["tensorlake/segmentation-3.0 is not the expected file", "there is no model repository"] {
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
    let manifest = fs::read_to_string(hub.models().join("3.1/manifest.toml")).unwrap();
    assert!(manifest.contains("it-just-works/pyannote-segmentation@main, pyannote/wespeaker"), "{manifest}");
    let cache = names(&hub.user.path().join("hf/hub"));
    assert!(!cache.iter().any(|name| name.contains("tensorlake")), "{cache:?}");
}

#[test]
fn accounts_are_needed_only_at_the_publisher() {
    let hub = Hub::start(|request, repository, _| match request.header("authorization") {
        _ if !["pyannote/speaker-diarization-community-1", "pyannote/segmentation-3.0"]
            .contains(&repository) =>
        {
            None
        }
        Some("Bearer hf_member") => None,
        Some("Bearer hf_stranger") => Some(Reply::status(403).with("X-Error-Code", "GatedRepo")),
        _ => Some(Reply::status(401).with("X-Error-Code", "GatedRepo")),
    });
    let download = |token: &str| {
        hub.command(&["model", "download", "community-1", "--from-publisher"])
            .env("HF_TOKEN", token)
            .output()
            .unwrap()
    };
    for (token, told) in
        [("", "no token is set"), ("hf_stranger", "is gated"), ("hf_old", "does not accept the token")]
    {
        let output = download(token);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(told) && stderr(&output).contains(PUBLISHER), "{}", stderr(&output));
        assert_eq!(hub.kept(), [""; 0]);
    }
    let named = hub.run(&["model", "info", PUBLISHER]);
    assert!(stderr(&named).contains("`diarize model download community-1`, then"), "{}", stderr(&named));
    assert!(!hub.asked(MIRROR), "the user has chosen");
    let output = download("hf_member");
    assert!(output.status.success(), "{}", stderr(&output));
    let manifest = fs::read_to_string(hub.models().join("community-1/manifest.toml")).unwrap();
    assert!(manifest.contains(&format!("source = \"{PUBLISHER}@main\"")), "{manifest}");
    assert!(download("").status.success(), "the model is there, and from there");
    let open = hub.download(&["3.1"]);
    assert!(open.status.success(), "{}", stderr(&open));
    let other = hub.command(&["model", "download", "3.1", "--from-publisher"]).output().unwrap();
    assert!(stderr(&other).contains("is already on this machine, from tensorlake"), "{}", stderr(&other));
    let unknown = hub.download(&["org/model", "--from-publisher"]);
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn files_in_the_cache_of_huggingface_hub_are_used_offline_if_they_are_the_expected_ones() {
    let hub = Hub::start(normal);
    let commit = "1234567890123456789012345678901234567890";
    let put = |repository: &str, commit: &str, path: &str, bytes: &[u8]| {
        let root = hub.user.path().join("hf/hub").join(format!("models--{}", repository.replace('/', "--")));
        let file = root.join("snapshots").join(commit).join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::create_dir_all(root.join("refs")).unwrap();
        fs::write(file, bytes).unwrap();
        fs::write(root.join("refs/main"), commit).unwrap();
    };
    let files = files();
    let of = |name: &str| files[name].as_slice();
    put(SEGMENTATIONS[0], commit, "pytorch_model.bin", b"damaged");
    put(SEGMENTATIONS[2], commit, "pytorch_model.bin", of("tensorlake/segmentation-3.0/pytorch_model.bin"));
    let embedding = "pyannote/wespeaker-voxceleb-resnet34-LM";
    put(embedding, commit, "pytorch_model.bin", of(&format!("{embedding}/pytorch_model.bin")));
    let offline =
        |name: &str| hub.command(&["model", "download", name]).env("HF_HUB_OFFLINE", "1").output().unwrap();
    let output = offline("3.1");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("tensorlake/segmentation-3.0 is not the expected file"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("to download it again"), "{}", stderr(&output));
    let output = offline("community-1");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("HF_HUB_OFFLINE forbids downloading it"), "{}", stderr(&output));
    assert!(hub.server.requests().is_empty());
}

#[test]
fn programs_at_once_download_once() {
    let hub = Hub::start(normal);
    let outputs = thread::scope(|scope| {
        [(); 3].map(|()| scope.spawn(|| hub.download(&["community-1"]))).map(|run| run.join().unwrap())
    });
    for output in &outputs {
        assert!(output.status.success(), "{}", stderr(output));
    }
    assert_eq!(hub.storage.downloads().len(), 5);
    assert_eq!(hub.kept(), ["community-1", "downloads.toml"]);
}

#[test]
fn a_model_is_also_written_to_a_directory_with_its_notice() {
    let hub = Hub::start(normal);
    let mine = hub.user.path().join("mine");
    let output = hub.download(&["3.1", "--output", mine.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        names(&mine),
        ["LICENSE.txt", "embedding.safetensors", "manifest.toml", "segmentation.safetensors"]
    );
    assert_eq!(hub.kept(), [""; 0]);
}

/// The list of the program itself, without any variable.
#[test]
fn the_list_of_the_program_is_valid() {
    let cache = tempdir().unwrap();
    let list = Command::new(env!("CARGO_BIN_EXE_diarize"))
        .args(["model", "list"])
        .env("HF_HOME", cache.path())
        .env("DIARIZE_MODELS", cache.path())
        .env_remove("DIARIZE_CATALOGUE")
        .output()
        .unwrap();
    assert!(list.status.success(), "{}", stderr(&list));
    assert_eq!(stdout(&list).lines().count(), 12, "{}", stdout(&list));
}

mod needs_shared {
    use diarize_testkit::shared;

    use super::*;

    /// The program's own list, with its real hashes, and the real files as far as they are there.
    #[test]
    #[ignore = "needs the folder `shared` next to the checkout"]
    fn community_1_is_downloaded_with_the_list_of_the_program() {
        let mut files = files();
        for (path, real) in [
            ("config.yaml", "checkpoints/pipeline-community-1-style/config.yaml"),
            ("segmentation/pytorch_model.bin", "checkpoints/segmentation-3.0/pytorch_model.bin"),
            ("embedding/pytorch_model.bin", "checkpoints/pipeline-3.1/embedding/pytorch_model.bin"),
            ("plda/plda.npz", "plda/plda.npz"),
            ("plda/xvec_transform.npz", "plda/xvec_transform.npz"),
        ] {
            let bytes = fs::read(shared("real").join(real)).unwrap();
            files.insert(format!("{MIRROR}/{path}"), bytes);
        }
        let hub = Hub::with(files, normal);
        let run = |arguments: &[&str]| {
            hub.command(arguments).env_remove("DIARIZE_CATALOGUE").env("HF_TOKEN", "").output().unwrap()
        };
        let output = run(&["model", "download", "community-1"]);
        assert!(output.status.success(), "{}", stderr(&output));
        fs::remove_dir_all(hub.user.path().join("hf")).unwrap();
        let recording = hub.user.path().join("short30.wav");
        fs::copy(shared("eval/synthetic/short30.wav"), &recording).unwrap();
        let run = run(&["--model", "community-1", recording.to_str().unwrap()]);
        assert!(run.status.success(), "{}", stderr(&run));
        assert!(stdout(&run).lines().count() > 3, "{}", stdout(&run));
    }
}
