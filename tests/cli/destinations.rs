//! Before any work, the program refuses to overwrite recordings and reports results that it cannot write.

use std::{fs, process::Command, thread};

use tempfile::{TempDir, tempdir};

use crate::common::{diarize_in, fixture, names, stderr, write_silence};

/// Recordings of every format in the test data, one without an extension, and a recording `in.wav`.
fn desk() -> TempDir {
    let desk = tempdir().unwrap();
    for name in names(&fixture("")).into_iter().filter(|name| name.starts_with("tone.")) {
        fs::copy(fixture(&name), desk.path().join(&name)).unwrap();
    }
    fs::copy(fixture("tone.mp3"), desk.path().join("renamed")).unwrap();
    write_silence(&desk.path().join("in.wav"));
    desk
}

/// Runs a command that must be refused as a usage error, without changing any file.
#[track_caller]
fn refused(desk: &TempDir, arguments: &[&str]) -> String {
    let content = || {
        let files = names(desk.path()).into_iter();
        files.map(|name| (fs::read(desk.path().join(&name)).ok(), name)).collect::<Vec<_>>()
    };
    let before = content();
    let output = diarize_in(desk.path(), arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
    assert!(content() == before, "{arguments:?} changed a file");
    stderr(&output).to_owned()
}

#[test]
fn a_recording_is_never_overwritten() {
    let desk = desk();
    for name in names(desk.path()) {
        for command in [&["vad", "in.wav"], &["overlap", "in.wav"], &["embed", "in.wav"]] {
            let error = refused(&desk, &[&command[..], &["-o", &name]].concat());
            assert!(error.contains(&format!("{name} is a recording")), "{error}");
        }
        for arguments in [
            ["-f", "rttm", "in.wav", "-o", &name],
            ["in.wav", "--failures", &name, "-f", "txt"],
            ["-f", "html", "-o", &name, "tone.flac"],
        ] {
            let error = refused(&desk, &arguments);
            assert!(error.contains("recording") || error.contains("overwrite the input"), "{error}");
        }
    }
    // What the shell makes of `-o *.wav`.
    refused(&desk, &["-o", "in.wav", "tone.wav"]);
}

#[test]
fn a_result_is_not_named_like_a_recording() {
    let desk = desk();
    for arguments in [
        &["in.wav", "-f", "rttm", "-o", "new.wav"][..],
        &["in.wav", "--failures", "new.MP3"],
        &["vad", "in.wav", "-o", "new.m4a"],
        &["embed", "in.wav", "-o", "new.flac"],
    ] {
        let error = refused(&desk, arguments);
        assert!(error.contains("named like a recording"), "{error}");
    }
    let output = diarize_in(desk.path(), &["enroll", "Ann", "tone.flac", "--db", "new.ogg"]);
    assert!(!output.status.success() && stderr(&output).contains("named like a recording"));
}

#[test]
fn a_result_that_cannot_be_written_is_reported_before_any_work() {
    let desk = desk();
    fs::create_dir(desk.path().join("folder")).unwrap();
    fs::write(desk.path().join("keep.rttm"), "kept\n").unwrap();
    for (output, reason) in
        [("missing/x.rttm", "no directory missing"), ("/proc/x.rttm", "cannot write /proc/x")]
    {
        for arguments in [
            &["in.wav", "-o", output][..],
            &["in.wav", "--failures", output],
            &["vad", "in.wav", "-o", output],
            &["embed", "in.wav", "-o", output],
        ] {
            let error = refused(&desk, arguments);
            assert!(error.contains(reason), "{arguments:?}: {error}");
        }
    }
    let error = refused(&desk, &["vad", "in.wav", "-o", "folder"]);
    assert!(error.contains("folder is a directory"), "{error}");
}

/// A result of an earlier run survives if nothing new can be computed.
#[test]
fn a_failure_keeps_the_result_of_an_earlier_run() {
    let desk = desk();
    let result = desk.path().join("keep.rttm");
    fs::write(&result, "kept\n").unwrap();
    for command in [&["vad"][..], &["overlap"], &["embed"], &["-q"]] {
        let output = diarize_in(desk.path(), &[command, &["-o", "keep.rttm", "nofile.wav"]].concat());
        assert!(!output.status.success());
        assert_eq!(fs::read_to_string(&result).unwrap(), "kept\n", "{command:?}");
    }
}

/// Files of the program itself are as valuable as recordings.
#[test]
fn voices_settings_and_lists_are_never_overwritten() {
    let desk = desk();
    let output = diarize_in(desk.path(), &["enroll", "Ann", "--quiet", "tone.flac", "--db", "voices"]);
    if !output.status.success() {
        // Nobody speaks in the tone: any file of tensors will do.
        let weights = diarize_testkit::repository("weights/default/plda.safetensors");
        fs::copy(weights, desk.path().join("voices")).unwrap();
    }
    fs::write(desk.path().join("diarize.toml"), "min-duration-on = 0.1\n").unwrap();
    fs::write(desk.path().join("turns.rttm"), "SPEAKER in 1 0 1 <NA> <NA> Ann <NA> <NA>\n").unwrap();
    for folder in ["lists", "turns"] {
        fs::create_dir(desk.path().join(folder)).unwrap();
    }
    fs::write(desk.path().join("lists/in.txt"), "in.wav\n").unwrap();
    fs::write(desk.path().join("turns/in.json"), "{}").unwrap();
    fs::write(desk.path().join("words.json"), "{\"segments\": []}").unwrap();
    fs::write(desk.path().join("scores.json"), "{\"tune\":1}\n").unwrap();
    for (arguments, reason) in [
        (&["in.wav", "-f", "rttm", "-o", "voices"][..], "voices contains voices"),
        (&["in.wav", "--failures", "voices"], "voices contains voices"),
        (&["vad", "in.wav", "-o", "voices"], "voices contains voices"),
        (&["embed", "in.wav", "-f", "json", "-o", "voices"], "voices contains voices"),
        (&["vad", "-f", "csv", "in.wav", "-o", "diarize.toml"], "diarize.toml contains settings"),
        (&["in.wav", "-o", "scores.json"], "scores.json contains scores of diarize tune"),
        (&["--files-from", "lists/in.txt", "-f", "txt", "-o", "lists/"], "would overwrite --files-from"),
        (
            &["in.wav", "--transcript", "words.json", "--failures", "words.json"],
            "would overwrite the transcript",
        ),
        (
            &["in.wav", "-f", "rttm", "-o", "new.st", "--link-speakers=new.st"],
            "would overwrite --link-speakers",
        ),
        (&["embed", "in.wav", "--segments", "turns", "-o", "turns/in.json"], "would overwrite --segments"),
        (&["in.wav", "-o", "r.csv", "--failures", "r.csv"], "both write r.csv"),
        (
            &["embed", "-f", "json", "--segments", "turns.rttm", "-o", "turns.rttm", "in.wav"],
            "would overwrite --segments",
        ),
    ] {
        let error = refused(&desk, arguments);
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
    let notes = desk.path().join("notes.txt");
    fs::write(&notes, "my notes, one line without end").unwrap();
    let output = diarize_in(desk.path(), &["tune", "--state", "notes.txt", "."]);
    assert!(!output.status.success());
    assert_eq!(fs::read_to_string(&notes).unwrap(), "my notes, one line without end");
}

#[test]
fn an_unknown_extension_needs_a_format() {
    let desk = desk();
    for command in [&["in.wav"][..], &["vad", "in.wav"], &["overlap", "in.wav"], &["embed", "in.wav"]] {
        let error = refused(&desk, &[command, &["-o", "result.xyz"]].concat());
        assert!(error.contains("the extension of --output result.xyz"), "{error}");
    }
    let output = diarize_in(desk.path(), &["vad", "in.wav", "-o", "regions.csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(desk.path().join("regions.csv")).unwrap(), "file,start,end,duration\n");
}

#[test]
fn a_dash_is_the_standard_output() {
    let desk = desk();
    let before = names(desk.path());
    for command in [
        &["in.wav", "-f", "json"][..],
        &["in.wav", "-f", "html"],
        &["vad", "in.wav", "-f", "json"],
        &["overlap", "in.wav", "-f", "csv"],
        &["embed", "tone.flac"],
        &["man"],
    ] {
        let plain = diarize_in(desk.path(), command);
        let dash = diarize_in(desk.path(), &[command, &["-o", "-"]].concat());
        assert!(dash.status.success() && !dash.stdout.is_empty(), "{command:?}: {}", stderr(&dash));
        // The processing times differ.
        assert_eq!(dash.stdout[..20], plain.stdout[..20], "{command:?}");
    }
    assert_eq!(names(desk.path()), before);
    let both = diarize_in(desk.path(), &["in.wav", "-o", "x.json", "-o", "-"]);
    assert!(both.status.success() && desk.path().join("x.json").exists(), "{}", stderr(&both));
}

/// The temporary file has a short name, so the result can have the longest that the file system allows.
#[cfg(unix)]
#[test]
fn the_longest_names_are_written_and_longer_ones_refused_before_any_work() {
    let desk = desk();
    let name = |length: usize| "n".repeat(length);
    fs::copy(desk.path().join("in.wav"), desk.path().join(name(250) + ".wav")).unwrap();
    for arguments in [
        &[&*(name(250) + ".wav"), "-o", "out/"][..],
        &["in.wav", "-o", &(name(250) + ".rttm")],
        &["vad", "in.wav", "-o", &(name(250) + ".rttm")],
    ] {
        let output = diarize_in(desk.path(), arguments);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    assert_eq!(names(&desk.path().join("out")), [name(250) + ".rttm"]);
    let error = refused(&desk, &["in.wav", "-o", &(name(251) + ".rttm")]);
    assert!(error.contains("the name is too long"), "{error}");
    let output = diarize_in(desk.path(), &[&*(name(250) + ".wav"), "-f", "textgrid", "-o", "more/"]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.starts_with("error: cannot write more/") && told.contains("the name is too long"), "{told}");
}

#[cfg(unix)]
#[test]
fn the_extension_of_a_pipe_gives_the_format() {
    let desk = desk();
    for (name, start) in [("p.csv", "file,start"), ("p.json", "{\n"), ("p", ""), ("p.xyz", "")] {
        let path = desk.path().join(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let reader = thread::spawn(move || fs::read_to_string(path).unwrap());
        let output = diarize_in(desk.path(), &["in.wav", "-o", name]);
        assert!(output.status.success(), "{}", stderr(&output));
        let result = reader.join().unwrap();
        // Nobody speaks, so RTTM has no lines.
        assert!(result.starts_with(start) && result.is_empty() == start.is_empty(), "{name}: {result}");
    }
}
