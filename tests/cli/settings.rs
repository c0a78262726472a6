//! Settings from a configuration file and from the environment, below those of the command line.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::{TempDir, tempdir};

use crate::common::{stderr, stdout, write_silence};

const RTTM: &str = "SPEAKER a 1 0 10 <NA> <NA> A <NA> <NA>\n";

/// A directory with a recording and a result.
fn directory() -> TempDir {
    let directory = tempdir().unwrap();
    write_silence(&directory.path().join("a.wav"));
    fs::write(directory.path().join("a.rttm"), RTTM).unwrap();
    directory
}

/// Runs the program in a directory, which is also the user's home, with variables set.
fn run(directory: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_diarize"))
        .args(arguments)
        .current_dir(directory)
        .env("XDG_CONFIG_HOME", directory.join("config"))
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn settings_come_from_the_local_or_the_user_or_a_given_file() {
    let directory = directory();
    let settings = "format = [\"json\"]\n[score]\nformat = \"csv\"\ncollar = 0.5\n";
    fs::create_dir_all(directory.path().join("config/diarize")).unwrap();
    for (file, arguments) in [
        ("config/diarize/diarize.toml", &[][..]),
        ("diarize.toml", &[]),
        ("other.toml", &["--config", "other.toml"]),
    ] {
        fs::write(directory.path().join(file), settings).unwrap();
        let output = run(directory.path(), &[], &[&["a.wav"], arguments].concat());
        assert!(stdout(&output).starts_with('{'), "{file}: {}{}", stdout(&output), stderr(&output));
        let output = run(directory.path(), &[], &[&["score", "a.rttm", "a.rttm"], arguments].concat());
        // Of ten seconds the collars take a quarter at each end.
        assert!(stdout(&output).contains(",9.500,"), "{file}: {}{}", stdout(&output), stderr(&output));
        fs::remove_file(directory.path().join(file)).unwrap();
    }
}

#[test]
fn arguments_come_before_variables_and_variables_before_the_file() {
    let directory = directory();
    fs::write(directory.path().join("diarize.toml"), "[score]\nformat = \"csv\"\n").unwrap();
    let score = |variables: &[(&str, &str)], more: &[&str]| {
        let output = run(directory.path(), variables, &[&["score", "a.rttm", "a.rttm"], more].concat());
        stdout(&output).to_owned()
    };
    assert!(score(&[], &[]).starts_with("recording,der,"));
    assert!(score(&[("DIARIZE_FORMAT", "json")], &[]).starts_with('{'));
    assert!(score(&[("DIARIZE_FORMAT", "json")], &["--format", "table"]).starts_with("recording  DER"));
}

#[test]
fn the_model_of_a_variable_is_used() {
    let directory = directory();
    let output = run(directory.path(), &[("DIARIZE_MODEL", "/no/such/model")], &["a.wav"]);
    assert!(!output.status.success() && stderr(&output).contains("/no/such/model"), "{}", stderr(&output));
}

#[test]
fn settings_give_way_to_arguments_that_they_conflict_with() {
    let directory = directory();
    fs::write(directory.path().join("diarize.toml"), "num-speakers = 3\nquiet = true\n").unwrap();
    let output = run(directory.path(), &[], &["--min-speakers", "2", "--verbose", "a.wav"]);
    assert!(output.status.success() && stderr(&output).contains("loaded"), "{}", stderr(&output));
}

#[test]
fn unknown_options_and_wrong_values_are_reported_with_their_file() {
    let directory = directory();
    let says = |settings: &str, parts: &[&str]| {
        fs::write(directory.path().join("diarize.toml"), settings).unwrap();
        let output = run(directory.path(), &[], &["a.wav"]);
        assert!(output.status.code() == Some(2) && output.stdout.is_empty());
        for part in parts {
            assert!(stderr(&output).contains(part), "{settings}: {}", stderr(&output));
        }
    };
    says("tresh = 1", &["diarize.toml", "there is no option --tresh"]);
    says("[scores]\nskip-overlap = true", &["diarize.toml", "there is no command `scores`"]);
    says("[score]\nthreshold = 1", &["diarize.toml", "[score]", "there is no option --threshold"]);
    says("threshold = -1", &["--threshold", "must be a number from 0 to 1000000", "diarize.toml"]);
    says("thresold = 1", &["did you mean threshold?"]);
    says("collar = 1", &["no option --collar at the top of the file: put it below [score]"]);
    says("num-speakers = 2\nnum_speakers = 2", &["num-speakers is given twice"]);
    says("threads = 2\na b", &["diarize.toml is not TOML: line 2: "]);
}

/// The library refuses the first value, and the program the second, long after the command line was read.
#[test]
fn refused_values_are_reported_with_their_sources() {
    let directory = directory();
    fs::write(directory.path().join("diarize.toml"), "set = \"fa=-1\"\n").unwrap();
    for (variable, told) in [("DIARIZE_QUIET", "--set fa=-1"), ("DIARIZE_EMBEDDINGS", "--embeddings needs")] {
        let output = run(directory.path(), &[(variable, "true")], &["a.wav"]);
        assert_eq!(output.status.code(), Some(2));
        let end = format!("\n\nSettings were also taken from: diarize.toml, {variable}\n");
        assert!(stderr(&output).contains(told) && stderr(&output).ends_with(&end), "{}", stderr(&output));
    }
}

#[test]
fn settings_of_other_commands_are_no_sources() {
    let directory = directory();
    for (variable, named) in [("DIARIZE_COLLAR", false), ("DIARIZE_THREADS", true)] {
        let output = run(directory.path(), &[(variable, "1")], &["--num-speakers", "x", "a.wav"]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stderr(&output).contains(variable), named, "{}", stderr(&output));
    }
}

#[test]
fn every_key_may_be_written_with_underscores() {
    let directory = directory();
    let settings =
        "num_speakers = 3\nmin_duration_on = 0.25\nformat = \"json\"\n[score]\nskip_overlap = true\n";
    fs::write(directory.path().join("diarize.toml"), settings).unwrap();
    let output = run(directory.path(), &[], &["a.wav"]);
    let result: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(result["parameters"]["num_speakers"], 3);
    assert_eq!(result["parameters"]["min_duration_on"], 0.25);
    let score = run(directory.path(), &[], &["score", "a.rttm", "a.rttm"]);
    assert!(score.status.success(), "{}", stderr(&score));
}

#[test]
fn audio_options_apply_to_every_command_and_required_options_may_be_settings() {
    let directory = directory();
    let settings = "channel = 7\n[split]\noutput = \"voices/\"\n";
    fs::write(directory.path().join("diarize.toml"), settings).unwrap();
    for arguments in [&["a.wav"][..], &["vad", "a.wav"], &["split", "a.wav"]] {
        let output = run(directory.path(), &[], arguments);
        assert!(stderr(&output).contains("has no channel 7"), "{arguments:?}: {}", stderr(&output));
    }
}
