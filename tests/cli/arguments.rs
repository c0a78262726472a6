//! Command lines that are refused before any work, and answers that need no audio.

use std::fs;

use clap::CommandFactory;
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
    assert_usage_error(&["--threshold", "nan", "a.wav"], "must be a number from 0 to 1000000");
    assert_usage_error(&["--step", "0", "a.wav"], "must be a number above 0");
    assert_usage_error(&["--device", "tpu", "a.wav"], "auto, cpu, metal, cuda, cuda:N, cuda:N,N or cuda:all");
    assert_usage_error(
        &["--device", "cuda:", "a.wav"],
        "auto, cpu, metal, cuda, cuda:N, cuda:N,N or cuda:all",
    );
    assert_usage_error(&["--device", "cuda:1,1", "a.wav"], "must be a list in which each GPU appears once");
    assert_usage_error(&["--precision", "tf32", "a.wav"], "must be f32 or f16");
    assert_usage_error(&["--shard", "2", "a.wav"], "must be I/N, such as 1/8");
    assert_usage_error(&["--shard", "0/2", "a.wav"], "must be a part from 1/2 to 2/2");
    assert_usage_error(&["--shard", "1/0", "a.wav"], "must be a whole number from 1 to 1000000");
    assert_usage_error(
        &["--format", "xml", "a.wav"],
        "rttm, json, csv, srt, vtt, textgrid, eaf, stm, audacity, html, txt, parquet, nemo",
    );
    assert_usage_error(&["--embeddings", "a.wav"], "--embeddings needs --format json");
    assert_usage_error(&["--quiet", "--verbose", "a.wav"], "cannot be used with");
    assert_usage_error(&["transcribe", "--vocabulary", ",", "a.wav"], "--vocabulary contains no words");
    assert_usage_error(&["-", "a.wav", "-"], "only once");
    assert_usage_error(
        &["https://example.com/a.wav"],
        "https://example.com/a.wav is a URL: download the recording first",
    );
}

/// The library refuses these values, some only when the model is known.
#[test]
fn values_that_do_not_fit_are_usage_errors_that_name_the_option() {
    for (options, told) in [
        (&["--set", "fa=-1"][..], "--set fa=-1: the value must be a positive number"),
        (&["--set", "fa=much"], "--set fa=much: it must be a number"),
        (&["--set", "speed=1"], "--set speed=1: vbx has no such parameter"),
        (&["--clustering", "kmeans"], "--num-speakers is not given, but k-means"),
        (&["--clustering", "kmeans", "--threshold", "0.5"], "--threshold 0.5: kmeans has no such parameter"),
        (
            &["--reconstruction", "voices", "--embedding-trunk", "chunk"],
            "--reconstruction is voices, but must be votes when --embedding-trunk is chunk",
        ),
        (
            &["--reconstruction", "voices", "--compat", "pyannote-4.0"],
            "--reconstruction voices needs --embedding-trunk shared, but --compat sets chunk",
        ),
        (&["--step", "99"], "--step is 99 s, but must be"),
        (
            &["--clustering", "spectral", "--set", "neighbors=0"],
            "--set neighbors=0: it must be auto, { share = 0.1 } or { count = 50 }",
        ),
        (&["--device", "cuda:999"], "--device cuda:999: "),
        (&["--model", "nosuch"], "--model nosuch: no such file or directory"),
        (&["--end", "0"], "--end must be later than 0"),
        (&["--min-cluster-size", "3"], "--min-cluster-size is for agglomerative clustering"),
        (
            &["--compat", "pyannote-3.3"],
            "--compat pyannote-3.3 does not fit vbx, the clustering method here: use a model of that version with --model 3.1, or",
        ),
    ] {
        for command in [&[][..], &["split", "-o", "out"]] {
            assert_usage_error(&[command, options, &["a.wav"]].concat(), &format!("error: {told}"));
        }
    }
}

#[test]
fn two_inputs_that_give_one_output_are_refused() {
    assert_usage_error(&["-o", "out", "a/talk.wav", "b/talk.mp3"], "would both be written to");
    let many = ["-o", "out", "-f", "rttm,json", "talk.wav", "talk.mp3", "b.flac", "b.wav", "b.mp3"];
    assert_usage_error(
        &many,
        "talk.wav and talk.mp3 would both be written to out/talk.rttm (2 more like this): rename one, or leave one out",
    );
    assert_usage_error(&["talk.wav", "talk.mp3"], "called talk in the result: rename one, or leave one out");
}

#[test]
fn several_inputs_do_not_fit_into_one_file() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("out.rttm");
    fs::write(&file, "kept").unwrap();
    assert_usage_error(&["-o", file.to_str().unwrap(), "a.wav", "b.wav"], "need a directory");
    let list = directory.path().join("list");
    fs::write(&list, "a.wav\n").unwrap();
    let arguments = ["--files-from", list.to_str().unwrap(), "-o", file.to_str().unwrap()];
    assert_usage_error(&arguments, "--files-from can stand for several recordings: use a directory");
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
            recording => format!("warning: {recording}: nobody speaks\n"),
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
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
    assert!(stderr(&output).starts_with("error: ") && stderr(&output).contains("/no/such/model"));
}

/// Words of Rust and its libraries that say nothing to a user.
const FOREIGN: [&str; 10] = [
    "os error",
    "digit",
    "non-zero",
    "target type",
    "float literal",
    "usize",
    "f64",
    "stream did not",
    "variant",
    "invalid type",
];

/// Every option that takes a number says which numbers are valid.
#[test]
fn every_number_has_a_range() {
    let cli = diarize_cli::commands::Cli::command();
    let mut options = Vec::new();
    for command in std::iter::once(&cli).chain(cli.get_subcommands()) {
        for option in command.get_arguments() {
            let kind = option.get_value_names().map_or("", |names| names[0].as_str());
            if let (Some(long), "N" | "SECONDS" | "COSINE" | "DISTANCE" | "TIME") = (option.get_long(), kind)
            {
                let name = (command.get_name() != "diarize").then(|| command.get_name().to_owned());
                options.push((name, format!("--{long}")));
            }
        }
    }
    assert!(options.len() > 30, "{options:?}");
    for (command, option) in options {
        for value in ["x", "", "-7", "1e309", "nan", "99999999999999999999999", "0.5.5"] {
            let arguments = command.iter().map(String::as_str).chain([option.as_str(), value, "a.wav"]);
            let arguments: Vec<&str> = arguments.collect();
            let output = diarize(&arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
            let told = stderr(&output);
            assert!(
                told.contains("must be") || told.contains("a value is required"),
                "{arguments:?}: {told}"
            );
            assert!(FOREIGN.iter().all(|word| !told.contains(word)), "{arguments:?}: {told}");
        }
    }
}

#[test]
fn more_threads_than_possible_are_refused() {
    assert_usage_error(&["--threads", "100000", "a.wav"], "from 1 to 512");
    assert_usage_error(&["--jobs", "2", "--threads", "300", "a.wav", "b.wav"], "is 600 threads");
}

#[test]
fn a_command_that_is_not_first_or_mistyped_is_named() {
    let before = "the command comes before all options: `diarize enroll ...`";
    assert_usage_error(&["-q", "enroll", "Ann", "a.wav"], before);
    assert_usage_error(&["--threads", "2", "enroll", "Ann", "a.wav"], before);
    assert_usage_error(&["enrol", "Ann", "a.wav"], "did you mean the command `diarize enroll`?");
    assert_usage_error(&["speaker"], "did you mean the command `diarize speakers`?");
    assert_eq!(diarize(["meeting"]).status.code(), Some(1), "a recording that does not exist");
}

/// Whatever cannot be read or written: one line without words of Rust.
#[test]
fn errors_are_one_sentence() {
    let directory = tempdir().unwrap();
    write_silence(&directory.path().join("a.wav"));
    fs::write(directory.path().join("a.rttm"), "SPEAKER a 1 0 1 <NA> <NA> A <NA> <NA>\n").unwrap();
    fs::write(directory.path().join("bytes"), b"\xff\xfe\xfd").unwrap();
    for arguments in [
        &["--files-from", "none"][..],
        &["--files-from", "."],
        &["--config", "none", "a.wav"],
        &["--config", ".", "a.wav"],
        &["--config", "bytes", "a.wav"],
        &["--identify", ".", "a.wav"],
        &["--identify", "bytes", "a.wav"],
        &["--model", "bytes", "a.wav"],
        &["--transcript", ".", "a.wav"],
        &["--transcript", "bytes", "a.wav"],
        &["--failures", "a.wav/x", "a.wav"],
        &["--failures", "-", "a.wav"],
        &["-o", "a.wav/x.rttm", "a.wav"],
        &["-f", "rttm,json", "-o", "a.wav/x", "a.wav"],
        &["-o", "-", "--skip-existing", "a.wav"],
        &["--step", "1e-9", "a.wav"],
        &["--set", "threshold=x", "a.wav"],
        &["--set", "max_iterations=x", "a.wav"],
        &["--set", "max_iterations=-1", "a.wav"],
        &["--clustering", "agglomerative", "--set", "linkage=x", "a.wav"],
        &["--clustering", "kmeans", "a.wav"],
        &["tune", "--clustering", "kmeans", "a.wav"],
        &["tune", "--state", ".", "a.wav"],
        &["speakers", "--db", "."],
        &["speakers", "--db", "bytes"],
        &["enroll", "Ann", "a.wav", "--db", "."],
        &["man", "-o", "a.wav"],
        &["model", "download", "none", "-o", "a.wav/x"],
        &["model", "download", "none", "-o", "-"],
        &["score", ".", "none"],
        &["score", "bytes", "bytes"],
        &["show", "."],
        &["embed", "--segments", "bytes", "a.wav"],
    ] {
        let output = diarize_in(directory.path(), arguments);
        let told = stderr(&output);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{arguments:?}: {told}");
        assert!(told.starts_with("error: ") && told.lines().count() == 1, "{arguments:?}: {told}");
        assert!(FOREIGN.iter().all(|word| !told.contains(word)), "{arguments:?}: {told}");
    }
    assert_eq!(names(directory.path()), ["a.rttm", "a.wav", "bytes"]);
}

#[test]
fn a_precision_that_the_device_lacks_is_an_error() {
    let directory = tempdir().unwrap();
    write_silence(&directory.path().join("a.wav"));
    let output = diarize_in(directory.path(), &["--device", "cpu", "--precision", "f16", "a.wav"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "error: --precision is f16, but must be f32 on the CPU; only NVIDIA GPUs support f16\n"
    );
}
