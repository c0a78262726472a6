//! The whole command with the bundled model.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use diarize_testkit::repository;
use tempfile::tempdir;

use crate::common::{diarize, diarize_bytes, fixture, names, stderr, stdout, wav_bytes, write_silence};

#[test]
fn silence_has_no_turns() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("quiet.wav");
    write_silence(&file);
    let output = diarize([&file]);
    let told = format!("warning: {}: nobody speaks\n", file.display());
    assert_eq!((stdout(&output), stderr(&output)), ("", &*told));
    assert!(output.status.success());
}

#[test]
fn times_are_told_in_seconds() {
    let audio = repository("tests/data/conversation.flac");
    let output = diarize(["-v", "--start", "0:10", "--end", "0:20", audio.to_str().unwrap()]);
    let told: Vec<&str> = stderr(&output).lines().collect();
    assert!(told[0].starts_with("loaded diarize-default on ") && told.len() == 2, "{told:?}");
    assert!(told[1].contains(": 10.0 s of audio in "), "{told:?}");
    for line in told {
        let (number, unit) = line.rsplit_once(" in ").unwrap().1.split_once(' ').unwrap();
        assert_eq!((number.split_once('.').unwrap().1.len(), unit), (2, "s"), "{line}");
    }
}

#[test]
fn one_sample_on_the_standard_input_is_no_speech() {
    let output = diarize_bytes(&["--format", "json", "-"], &wav_bytes(16_000, 1, 2, &[0, 64]));
    assert!(output.status.success(), "{}", stderr(&output));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["uri"], "stdin");
    assert_eq!(result["duration"], 1.0 / 16_000.0);
    assert_eq!(result["turns"], serde_json::json!([]));
    assert_eq!(result["speakers"], serde_json::json!([]));
}

#[test]
fn a_file_that_fails_does_not_stop_the_others() {
    let directory = tempdir().unwrap();
    let results = directory.path().join("results");
    let missing = directory.path().join("missing.wav");
    let output = diarize([
        "--format".as_ref(),
        "json".as_ref(),
        "--output".as_ref(),
        results.as_os_str(),
        missing.as_os_str(),
        fixture("tone.flac").as_os_str(),
    ]);
    assert_eq!(output.status.code(), Some(1));
    let told: Vec<&str> = stderr(&output).lines().collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], format!("error: {}: no such file: check the path", missing.display()));
    assert!(told[1].starts_with("[2/2] ") && told[1].contains("tone.flac: "), "{told:?}");
    assert!(told[1].contains("; 1.0 s of audio in "), "{told:?}");
    assert!(told[2].starts_with("1 file done, 1 failed; 1.0 s of audio in "), "{told:?}");
    assert!(stdout(&output).is_empty());
    assert_eq!(names(&results), ["tone.json"]);
    let result: serde_json::Value =
        serde_json::from_slice(&fs::read(results.join("tone.json")).unwrap()).unwrap();
    assert_eq!(result["duration"], 1.0);
}

#[test]
fn json_of_several_files_is_one_object_per_line_with_the_options() {
    let directory = tempdir().unwrap();
    let (first, second) = (directory.path().join("the first.wav"), directory.path().join("second.wav"));
    write_silence(&first);
    write_silence(&second);
    let options = ["-f", "json", "--max-speakers", "3", "--clustering", "agglomerative"];
    let clustering = ["--threshold", "0.5", "--min-cluster-size", "4"];
    let more = ["--min-duration-on", "0.2", "--min-duration-off", "0.3", "--step", "2.5", "--threads", "1"];
    let files = [first.to_str().unwrap(), second.to_str().unwrap()];
    let output = diarize([&options[..], &clustering, &more, &files].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("named `the_first` in the result"), "{}", stderr(&output));
    let results: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(results.len(), 2);
    assert_eq!(results[0]["uri"], "the_first");
    assert_eq!(results[1]["file"], files[1]);
    let parameters = &results[0]["parameters"];
    assert_eq!(parameters["max_speakers"], 3);
    assert_eq!(
        parameters["clustering"]["method"],
        serde_json::json!({ "agglomerative": {
            "linkage": "centroid", "threshold": 0.5, "min_cluster_size": 4, "max_embeddings": 20_000
        } })
    );
    assert_eq!((&parameters["min_duration_on"], &parameters["min_duration_off"]), (&0.2.into(), &0.3.into()));
    assert_eq!(parameters["segmentation_step"], 0.25);
}

#[test]
fn the_networks_are_used_as_the_model_or_pyannote_or_the_user_says() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("silence.wav");
    write_silence(&file);
    let compat: &[&str] = &["--compat", "pyannote-4.0"];
    let own: &[&str] =
        &["--decoding", "least_error", "--embedding-trunk", "shared", "--reconstruction", "voices"];
    for (arguments, decoding, trunk, reconstruction) in [
        (vec![], "least_error", "shared", "voices"),
        (vec!["--decoding", "argmax"], "argmax", "shared", "voices"),
        (vec!["--embedding-trunk", "chunk"], "least_error", "chunk", "votes"),
        (vec!["--reconstruction", "votes"], "least_error", "shared", "votes"),
        (compat.to_vec(), "argmax", "chunk", "votes"),
        ([compat, own].concat(), "least_error", "shared", "voices"),
    ] {
        let output = diarize([&["-f", "json", file.to_str().unwrap()], &arguments[..]].concat());
        let result: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
        assert_eq!(result["parameters"]["decoding"], decoding, "{arguments:?}");
        assert_eq!(result["parameters"]["embedding_trunk"], trunk, "{arguments:?}");
        assert_eq!(result["parameters"]["reconstruction"], reconstruction, "{arguments:?}");
        assert_eq!(result["parameters"]["embedding_exclude_overlap"], true, "{arguments:?}");
    }
    let whole = diarize(["-f", "json", "--embedding-exclude-overlap", "false", file.to_str().unwrap()]);
    let result: serde_json::Value = serde_json::from_str(stdout(&whole)).unwrap();
    assert_eq!(result["parameters"]["embedding_exclude_overlap"], false);
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_keep_their_bytes() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let directory = tempdir().unwrap();
    let file = directory.path().join(OsStr::from_bytes(b"caf\xe9.wav"));
    write_silence(&file);
    let output = diarize(["-o".as_ref(), directory.path().as_os_str(), file.as_os_str()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(directory.path().join(OsStr::from_bytes(b"caf\xe9.rttm")).exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let audio = fixture("tone.flac").display().to_string();
    let commands: [&[&str]; 6] = [
        &["-f", "json", &audio],
        &["vad", "-f", "json", &audio],
        &["embed", &audio],
        &["man"],
        &["--version"],
        &["model", "info"],
    ];
    for arguments in commands {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output =
            Command::new(env!("CARGO_BIN_EXE_diarize")).args(arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("cannot write the result: the disk is full"), "{}", stderr(&output));
    }
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_diarize"))
        .args(["--format", "json"])
        .arg(fixture("tone.flac"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(told, "");
}

/// With one thread, the networks run on the first half minute while the rest is still read, so the program could wait
/// for itself.
#[test]
fn one_thread_ends_and_gives_the_result_of_all_threads() {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/conversation.flac");
    let directory = tempdir().unwrap();
    let result = directory.path().join("result.rttm");
    let mut program = Command::new(env!("CARGO_BIN_EXE_diarize"))
        .args(["--quiet", "--threads", "1", recording])
        .stdout(fs::File::create(&result).unwrap())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(300);
    let status = loop {
        if let Some(status) = program.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            program.kill().unwrap();
            panic!("the program hangs");
        }
        thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success());
    let all_threads = diarize(["--quiet", recording]);
    assert_eq!(fs::read_to_string(&result).unwrap(), stdout(&all_threads));
    assert!(!stdout(&all_threads).is_empty());
}

#[test]
fn a_batch_warns_of_recordings_in_which_nobody_speaks() {
    let directory = tempdir().unwrap();
    let files = ["a.wav", "b.wav"].map(|name| directory.path().join(name));
    files.iter().for_each(|file| write_silence(file));
    for (arguments, warnings) in [(&[][..], 2), (&["--quiet"], 0)] {
        let paths = files.iter().map(|file| file.to_str().unwrap());
        let output = diarize(arguments.iter().copied().chain(paths));
        assert!(output.status.success() && output.stdout.is_empty());
        let warns = |line: &&str| line.starts_with("warning: ") && line.ends_with(".wav: nobody speaks");
        assert_eq!(stderr(&output).lines().filter(warns).count(), warnings, "{}", stderr(&output));
        assert_eq!(stderr(&output).matches(": no turns; ").count(), warnings, "{}", stderr(&output));
    }
}

/// Found speakers can be missing in turns without overlap; the program says how many the result has.
#[test]
fn the_number_of_speakers_is_that_of_the_result() {
    let recording = repository("tests/data/conversation.flac").display().to_string();
    let output = diarize(["--exclusive", "--num-speakers", "40", &recording, &recording]);
    let mut speakers: Vec<&str> =
        stdout(&output).lines().map(|line| line.split(' ').nth(7).unwrap()).collect();
    speakers.sort_unstable();
    speakers.dedup();
    let told = format!("--exclusive leaves {} of ", speakers.len());
    assert!(stderr(&output).contains(&told), "{told}: {}", stderr(&output));
}

/// A reader may close the standard error: that is no reason to lose the results.
#[cfg(unix)]
#[test]
fn a_closed_standard_error_is_no_error() {
    let directory = tempdir().unwrap();
    let [first, second] = ["a.wav", "b.wav"].map(|name| directory.path().join(name));
    [&first, &second].into_iter().for_each(|file| write_silence(file));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_diarize"))
        .arg("-o")
        .args([directory.path(), &first, &second])
        .stderr(writer)
        .output()
        .unwrap();
    assert!(output.status.success(), "{:?}", output.status);
}
