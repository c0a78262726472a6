//! Models that find words.

use std::fs;

use super::{Hub, MAIN, WHISPER, files, normal, not_found};
use crate::{
    common::{names, stderr, stdout, write_silence},
    hub_server::Reply,
};

/// The revision in the list.
const REVISION: &str = "169d4a4341b33bc18d8881c4b69c2e104e1cc0af";

/// The error of `diarize transcribe`.
fn transcribe(hub: &Hub, options: &[&str]) -> String {
    let wav = hub.user.path().join("silence.wav");
    write_silence(&wav);
    let arguments = [&["transcribe", wav.to_str().unwrap()], options].concat();
    let output = hub.command(&arguments).env_remove("DIARIZE_WHISPER").output().unwrap();
    assert_eq!(output.status.code(), Some(if options.contains(&"--language") { 1 } else { 2 }));
    stderr(&output).to_owned()
}

#[test]
fn a_model_is_stored_as_it_is_and_found_by_its_name() {
    let hub = Hub::start(normal);
    let message = transcribe(&hub, &["--whisper", "whisper-tiny"]);
    assert!(message.contains("get it once with `diarize model download whisper-tiny`"), "{message}");

    let output = hub.download(&["whisper-tiny"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("Whisper tiny by OpenAI (MIT)"), "{}", stderr(&output));
    let folder = hub.models().join("whisper-tiny");
    assert_eq!(stdout(&output).trim_end(), folder.to_str().unwrap());
    assert_eq!(stdout(&hub.run(&["model", "path", "whisper-tiny"])), stdout(&output));
    let expected =
        ["LICENSE.txt", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json"];
    assert_eq!(names(&folder), expected);
    for name in &expected[1..] {
        assert_eq!(fs::read(folder.join(name)).unwrap(), files()[&format!("{WHISPER}/{name}")]);
        assert!(folder.join(name).symlink_metadata().unwrap().is_file());
    }
    let notice = fs::read_to_string(folder.join("LICENSE.txt")).unwrap();
    for text in ["License: MIT", &format!("Source: {WHISPER}@{REVISION}"), "Changes: none.", "Permission is"]
    {
        assert!(notice.contains(text), "{text}: {notice}");
    }
    let list = hub.run(&["model", "list"]);
    assert!(stdout(&list).lines().any(|line| line.starts_with("whisper-tiny ") && line.contains(" yes ")));
    let again = hub.download(&["whisper-tiny"]);
    assert!(again.status.success() && stderr(&again).contains("already on this machine"));

    // The stand-in for the tokenizer is empty, which shows that this folder is read, by name and by default.
    let tokenizer = folder.join("tokenizer.json").display().to_string();
    for options in [&["--whisper", "whisper-tiny", "--language", "en"][..], &["--language", "en"]] {
        let message = transcribe(&hub, options);
        assert!(message.contains(&tokenizer), "{message}");
    }
}

#[test]
fn what_is_no_model_for_words_is_explained() {
    let hub = Hub::start(normal);
    let message = transcribe(&hub, &[]);
    assert!(message.contains("`diarize model download whisper-small` gets one"), "{message}");
    let message = transcribe(&hub, &["--whisper", WHISPER]);
    assert!(
        message.contains("`diarize model download whisper-tiny`, then use --whisper whisper-tiny"),
        "{message}"
    );
    for name in ["missing", "3.1", "me/whisper-own", "./missing"] {
        let message = transcribe(&hub, &["--whisper", name]);
        assert!(message.contains(&format!("{name}: neither a folder nor one of the models whisper-tiny")));
        assert_eq!(
            message.contains("if it is a hub repository, download it into a folder"),
            name.starts_with("me")
        );
    }
    let message = transcribe(&hub, &["--whisper", "Systran/faster-whisper-tiny"]);
    let expected = "faster-whisper-tiny is a hub repository: get this model once with `diarize model download whisper-tiny`";
    assert!(message.contains(expected), "{message}");
    let output = hub.run(&["model", "download", "tiny"]);
    assert!(stderr(&output).ends_with("; did you mean whisper-tiny?\n"), "{}", stderr(&output));
    assert!(hub.server.requests().is_empty());
    let wav = hub.user.path().join("silence.wav");
    let output = hub.run(&["--model", "whisper-tiny", wav.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--model whisper-tiny finds words, not speakers"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_file_that_is_cut_off_is_not_kept() {
    for (path, length) in [("model.safetensors", 4), ("model.safetensors", 40_000), ("config.json", 9)] {
        let mut damaged = files();
        damaged.get_mut(&format!("{WHISPER}/{path}")).unwrap().truncate(length);
        let hub = Hub::with(damaged, normal);
        let output = hub.download(&["whisper-tiny"]);
        assert_eq!(output.status.code(), Some(1), "{path}");
        assert!(stderr(&output).contains("not a"), "{}", stderr(&output));
        assert_eq!(hub.kept(), [""; 0]);
    }
    let hub = Hub::start(normal);
    assert!(hub.download(&["whisper-tiny"]).status.success());
    let weights = hub.models().join("whisper-tiny/model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::remove_file(&weights).unwrap(); // It may share its content with the cache.
    fs::write(&weights, &bytes[..bytes.len() - 1]).unwrap();
    let message = transcribe(&hub, &["--whisper", "whisper-tiny"]);
    assert!(message.contains("get it once with"), "{message}");
    assert!(hub.download(&["whisper-tiny"]).status.success());
    assert_eq!(fs::read(&weights).unwrap(), bytes);
}

#[test]
fn a_revision_that_is_gone_is_replaced_by_the_branch() {
    let hub = Hub::start(|request, _, _| {
        request.path.contains(REVISION).then(|| -> Reply { not_found("RevisionNotFound") })
    });
    let output = hub.download(&["whisper-tiny"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let record = fs::read_to_string(hub.models().join("downloads.toml")).unwrap();
    assert!(
        record.contains(MAIN) && record.contains("openai/whisper-tiny@main/model.safetensors"),
        "{record}"
    );
}

#[test]
fn a_directory_of_ones_own_gets_the_same_files() {
    let hub = Hub::start(normal);
    let folder = hub.user.path().join("mine");
    let output = hub.download(&["whisper-tiny", "--output", folder.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(names(&folder).len(), 5);
    let again = hub.download(&["whisper-tiny", "--output", folder.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("is not overwritten"), "{}", stderr(&again));
}
