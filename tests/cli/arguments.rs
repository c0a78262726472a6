//! Command lines that are refused before any work, and answers that need no audio.

use std::fs;

use tempfile::tempdir;

use crate::common::{diarize, diarize_in, names, stderr, stdout, write_silence};

/// Runs the command and checks that it is a usage error that says `reason`.
fn assert_usage_error(arguments: &[&str], reason: &str) {
    let output = diarize(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
    assert!(stderr(&output).contains(reason), "{arguments:?}: {}", stderr(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn nonsense_is_a_usage_error() {
    assert_usage_error(&[], "<AUDIO>");
    assert_usage_error(&["--num-speakers", "0", "a.wav"], "--num-speakers");
    assert_usage_error(&["--num-speakers", "2", "--min-speakers", "2", "a.wav"], "cannot be used with");
    assert_usage_error(
        &["--min-speakers", "3", "--max-speakers", "2", "a.wav"],
        "is more than --max-speakers 2",
    );
    assert_usage_error(&["--threshold", "nan", "a.wav"], "must be a number, 0 or more");
    assert_usage_error(&["--step", "0", "a.wav"], "must be a number above 0");
    assert_usage_error(&["--device", "tpu", "a.wav"], "auto, cpu, metal, cuda or cuda:N");
    assert_usage_error(
        &["--format", "xml", "a.wav"],
        "rttm, json, csv, srt, vtt, textgrid, eaf, stm, audacity, html, txt",
    );
    assert_usage_error(&["--embeddings", "a.wav"], "--embeddings needs --format json");
    assert_usage_error(&["--quiet", "--verbose", "a.wav"], "cannot be used with");
    assert_usage_error(&["-", "a.wav", "-"], "only once");
}

#[test]
fn two_inputs_that_give_one_output_are_refused() {
    assert_usage_error(&["-o", "out", "a/talk.wav", "b/talk.mp3"], "would both be written to");
}

#[test]
fn several_inputs_do_not_fit_into_one_file() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("out.rttm");
    fs::write(&file, "kept").unwrap();
    assert_usage_error(&["-o", file.to_str().unwrap(), "a.wav", "b.wav"], "need a directory");
    assert_eq!(fs::read_to_string(file).unwrap(), "kept");
}

#[test]
fn an_input_is_never_overwritten() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("talk.wav");
    write_silence(&file);
    let path = file.to_str().unwrap();
    assert_usage_error(&["-o", path, path], "would overwrite the input");
    assert_eq!(names(directory.path()), ["talk.wav"]);
}

#[test]
fn help_has_examples_and_exit_codes() {
    let help = diarize(["--help"]);
    assert!(help.status.success());
    for part in ["Examples:", "Exit status:", "--num-speakers", "white space replaced", "one object per line"]
    {
        let text = stdout(&help).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(part), "{part} is not in the help");
    }
}

#[test]
fn version_lists_features_devices_and_model() {
    for flag in ["--version", "-V"] {
        let version = diarize([flag]);
        assert!(version.status.success());
        let lines: Vec<&str> = stdout(&version).lines().collect();
        assert_eq!(lines[0], concat!("diarize ", env!("CARGO_PKG_VERSION")));
        assert!(lines[1].starts_with("features: "), "{lines:?}");
        assert!(lines[2].starts_with("devices: cpu"), "{lines:?}");
        assert!(lines[3].starts_with("model: ") && lines[3].len() > "model: ".len(), "{lines:?}");
    }
}

#[test]
fn a_recording_with_the_name_of_a_command_is_diarized() {
    let directory = tempdir().unwrap();
    write_silence(&directory.path().join("man"));
    for (arguments, recording) in
        [(&["./man"][..], "./man"), (&["--", "man"], "man"), (&["--quiet", "man"], "")]
    {
        let output = diarize_in(directory.path(), arguments);
        let told = match recording {
            "" => String::new(),
            recording => format!(" WARN {recording}: nobody speaks\n"),
        };
        assert_eq!(stderr(&output), told, "{arguments:?}");
        assert!(output.status.success() && output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn man_pages_list_commands_and_options() {
    let page = diarize(["man"]);
    assert!(page.status.success());
    for part in [".TH diarize 1", "num\\-speakers", "Exit status"] {
        assert!(stdout(&page).contains(part), "{part} is not in the page");
    }
    let directory = tempdir().unwrap();
    let pages = directory.path().join("man1");
    assert!(diarize(["man", "--output", pages.to_str().unwrap()]).status.success());
    let pages = names(&pages);
    assert!(
        ["diarize.1", "diarize-man.1"].iter().all(|page| pages.contains(&(*page).to_owned())),
        "{pages:?}"
    );
}

#[test]
fn completions_list_the_options() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = diarize(["--completions", shell]);
        assert!(output.status.success());
        assert!(stdout(&output).contains("num-speakers"), "{shell}");
    }
}

#[test]
fn a_missing_model_is_one_line() {
    let output = diarize(["--model", "/no/such/model", "a.wav"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert!(stderr(&output).starts_with("diarize: ") && stderr(&output).contains("/no/such/model"));
}
