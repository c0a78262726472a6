//! The commands of the README and of the guide to the program, run exactly as they are written there.

use std::{env, fs, path::Path, process};

use diarize_testkit::repository;
use tempfile::{TempDir, tempdir};

use crate::common::{diarize, diarize_in, fixture, stderr, stdout, write_excerpt, write_i16, write_silence};

const README: &str = include_str!("../../README.md");
const GUIDE: &str = include_str!("../../crates/diarize-cli/docs/guide.md");

/// Commands of these documents that need a microphone, the network or a Whisper model.
const NOT_RUN: [&str; 10] = [
    "diarize transcribe -o meeting.srt meeting.mp3",
    "diarize transcribe meeting.mp3",
    "diarize transcribe --whisper whisper-tiny.en -o talk.srt -o talk.html talk.wav",
    "diarize transcribe --words -o words.csv talk.wav",
    "diarize transcribe --language de --vocabulary \"Zoë, Jörg\" -o talk.json talk.wav",
    "diarize model download whisper-small",
    "diarize model download community-1",
    "diarize model download community-1 --output my-model",
    "diarize --model community-1 meeting.wav",
    "arecord -f S16_LE -r 16000 | diarize -",
];

const RTTM: &str = "SPEAKER meeting 1 0.000 30.000 <NA> <NA> Ann <NA> <NA>\n\
                    SPEAKER meeting 1 20.000 20.000 <NA> <NA> Bob <NA> <NA>\n";

/// A command with the files that it must write.
type Command = (&'static str, &'static [&'static str]);

/// Groups of commands that belong together; each group runs in its own directory.
const COMMANDS: [&[Command]; 13] = [
    &[("diarize meeting.mp3 --num-speakers 4", &[]), ("diarize split -o voices/ meeting.mp3", &[])],
    &[("diarize --channels separate --channel-names Ann,Bob interview.wav", &[])],
    &[("diarize --format json --output turns.json call.wav", &["turns.json"])],
    &[("diarize --output rttm/ recordings/*.flac", &["rttm/a.rttm", "rttm/b.rttm"])],
    &[("diarize -o meeting.html -o talk.csv meeting.mp3", &["meeting.html", "talk.csv"])],
    &[
        ("diarize --recursive --jobs 2 --output rttm/ recordings/", &["rttm/a.rttm", "rttm/monday/c.rttm"]),
        (
            "diarize --recursive --skip-existing --output rttm/ recordings/",
            &["rttm/a.rttm", "rttm/monday/c.rttm"],
        ),
    ],
    &[
        (
            "diarize --shard 1/2 -f rttm,parquet -o results/ recordings/",
            &["results/a.rttm", "results/a.parquet"],
        ),
        (
            "diarize --files-from list.txt --retry 1 --failures failed.txt --output rttm/",
            &["rttm/a.rttm", "failed.txt"],
        ),
    ],
    &[
        (
            "diarize --transcript meeting.json -o named.json -o named.srt -o named.html meeting.wav",
            &["named.json", "named.srt", "named.html"],
        ),
        ("diarize --transcript whisper/ -f txt,srt -o named/ recordings/", &["named/a.srt", "named/b.txt"]),
    ],
    &[
        ("diarize enroll Ann ann.flac", &["speakers.safetensors"]),
        ("diarize enroll Bob --start 0:04 --end 0:09 talk.flac", &[]),
        ("diarize --identify speakers.safetensors talk.flac", &[]),
        ("diarize speakers", &[]),
        ("diarize --link-speakers -o linked/ monday/", &["linked/a.rttm", "linked/b.rttm"]),
        ("diarize split --segments talk.rttm -o voices/ talk.flac", &["voices/anna.wav", "voices/ben.wav"]),
        ("diarize split --segments talk.rttm -o tracks/ --keep-time talk.flac", &["tracks/carol.wav"]),
        (
            "diarize split --segments talk.rttm -o turns/ --each-turn talk.flac",
            &["turns/00-00-04.110-ben.wav"],
        ),
        ("diarize embed --segments talk.rttm -o voices.npy talk.flac", &["voices.npy"]),
    ],
    &[("diarize tune --state tune.jsonl labeled/", &["tune.jsonl"])],
    &[
        ("diarize vad meeting.mp3", &[]),
        ("diarize overlap -f csv recordings/ > overlap.csv", &["overlap.csv"]),
    ],
    &[
        ("diarize model list", &[]),
        ("diarize model info my-model", &[]),
        ("diarize --model my-model meeting.wav", &[]),
    ],
    &[
        ("diarize --completions bash", &[]),
        ("diarize man --output DIR", &["DIR/diarize.1", "DIR/diarize-score.1"]),
        ("diarize --version", &[]),
        ("diarize show meeting.rttm", &[]),
        ("diarize score reference.rttm meeting.rttm", &[]),
    ],
];

/// A directory with the files that the documents mention.
fn desk() -> TempDir {
    let directory = tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::create_dir_all(path("recordings/monday")).unwrap();
    for name in ["recordings/a.flac", "recordings/b.flac", "recordings/monday/c.flac"] {
        fs::copy(fixture("tone.flac"), path(name)).unwrap();
    }
    fs::copy(fixture("tone.mp3"), path("meeting.mp3")).unwrap();
    ["call.wav", "talk.wav", "meeting.wav"].iter().for_each(|name| write_silence(&path(name)));
    write_i16(&path("interview.wav"), 16_000, 2, &[0; 32_000]);
    fs::create_dir(path("my-model")).unwrap();
    let model = repository("weights/default");
    for file in fs::read_dir(model).unwrap().map(|file| file.unwrap()) {
        fs::copy(file.path(), path("my-model").join(file.file_name())).unwrap();
    }
    for folder in ["monday", "labeled"] {
        fs::create_dir(path(folder)).unwrap();
    }
    write_excerpt(3, &path("ann.flac"), &path("ann.rttm"));
    write_excerpt(14, &path("talk.flac"), &path("talk.rttm"));
    write_excerpt(14, &path("labeled/conversation.wav"), &path("labeled/conversation.rttm"));
    ["monday/a.wav", "monday/b.wav"].iter().for_each(|name| write_silence(&path(name)));
    fs::write(path("list.txt"), "recordings/a.flac\n").unwrap();
    ["meeting.rttm", "reference.rttm"].iter().for_each(|name| fs::write(path(name), RTTM).unwrap());
    fs::create_dir(path("whisper")).unwrap();
    for name in ["meeting.json", "whisper/a.json", "whisper/b.json"] {
        fs::write(path(name), r#"{"segments": [{"start": 0.1, "end": 0.9, "text": " Hello"}]}"#).unwrap();
    }
    directory
}

#[test]
fn the_commands_of_the_documents_work() {
    let program = Path::new(env!("CARGO_BIN_EXE_diarize")).parent().unwrap();
    let search = format!("{}:{}", program.display(), env::var("PATH").unwrap());
    for commands in COMMANDS {
        let desk = desk();
        for (command, files) in commands {
            let documented = [README, GUIDE].iter().any(|document| document.contains(command));
            assert!(documented, "neither the README nor the guide contains: {command}");
            let output = process::Command::new("sh")
                .args(["-c", command])
                .env("PATH", &search)
                .current_dir(desk.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{command}: {}", stderr(&output));
            for file in *files {
                assert!(desk.path().join(file).exists(), "{command} did not write {file}");
            }
        }
    }
}

#[test]
fn every_command_of_the_documents_is_run() {
    let run: Vec<&str> = COMMANDS.iter().copied().flatten().map(|(command, _)| *command).collect();
    let lines = [README, GUIDE].into_iter().flat_map(str::lines);
    let commands =
        lines.filter_map(|line| line.strip_prefix("$ ")).filter(|line| !line.starts_with("cargo "));
    let mut found = 0;
    for line in commands {
        let command = line.split(" #").next().unwrap_or(line).trim_end();
        assert!(run.contains(&command) || NOT_RUN.contains(&command), "no test runs: {command}");
        found += 1;
    }
    assert!(found > 20, "only {found} commands");
}

#[test]
fn the_drawing_of_the_guide_is_what_a_narrow_terminal_shows() {
    let desk = desk();
    let rttm = desk.path().join("meeting.rttm");
    let output = diarize(["show".as_ref(), "--width".as_ref(), "46".as_ref(), rttm.as_os_str()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(GUIDE.contains(stdout(&output)), "{}", stdout(&output));
}

#[test]
fn the_settings_of_the_guide_are_settings() {
    let desk = desk();
    let settings = GUIDE.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    fs::write(desk.path().join("diarize.toml"), settings).unwrap();
    let output = diarize_in(desk.path(), &["score", "reference.rttm", "meeting.rttm"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("collar 0.5 s"), "{}", stdout(&output));
    let output = diarize_in(desk.path(), &["--format", "json", "call.wav"]);
    assert!(output.status.success(), "{}", stderr(&output));
    fs::rename(desk.path().join("my-model"), desk.path().join("elsewhere")).unwrap();
    let output = diarize_in(desk.path(), &["call.wav"]);
    assert!(!output.status.success() && stderr(&output).contains("my-model"), "{}", stderr(&output));
}
