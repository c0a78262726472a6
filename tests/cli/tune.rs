//! `diarize tune`: a search over parameters on a folder with known turns.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::common::{diarize_in, stderr, stdout, write_excerpt, write_silence};

/// Runs the embedding network once per recording, which is fast, with a clustering that has a threshold.
const FAST: &str = "embedding-trunk = \"shared\"\nclustering = \"agglomerative\"\n\
                    [tune]\nembedding-trunk = \"shared\"\nclustering = \"agglomerative\"\n";

/// A folder with the beginning of the sample conversation and its turns.
fn labeled() -> TempDir {
    let directory = tempdir().unwrap();
    let talks = directory.path().join("talks");
    fs::create_dir(&talks).unwrap();
    write_excerpt(14, &talks.join("conversation.wav"), &talks.join("conversation.rttm"));
    fs::write(directory.path().join("diarize.toml"), FAST).unwrap();
    directory
}

fn run(directory: &TempDir, arguments: &[&str]) -> String {
    let output = diarize_in(directory.path(), &[&["tune"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output).to_owned()
}

fn json(directory: &TempDir, arguments: &[&str]) -> Value {
    serde_json::from_str(&run(directory, &[arguments, &["--format", "json", "talks"]].concat())).unwrap()
}

#[test]
fn every_combination_is_scored_as_the_program_would_be() {
    let directory = labeled();
    let report = json(
        &directory,
        &["--step", "2", "--try", "threshold=0.3,0.6", "--try", "min_duration_off=0,1", "--try", "step=5"],
    );
    let tried = report["tried"].as_array().unwrap();
    assert_eq!(tried.len(), 5, "and the current parameters");
    let rate = |row: &Value| row["diarization_error_rate"].as_f64().unwrap();
    assert!(tried.windows(2).all(|pair| rate(&pair[0]) <= rate(&pair[1])), "best first");
    assert_eq!(report["best"], tried[0]["parameters"]);
    for row in tried {
        let parameter = |key: &str| row["parameters"][key].as_str().unwrap().to_owned();
        let found = diarize_in(
            directory.path(),
            &[
                "--threshold",
                &parameter("threshold"),
                "--min-duration-off",
                &parameter("min_duration_off"),
                "--step",
                &parameter("step"),
                "talks/conversation.wav",
            ],
        );
        fs::write(directory.path().join("found.rttm"), stdout(&found)).unwrap();
        let score =
            diarize_in(directory.path(), &["score", "-f", "json", "talks/conversation.rttm", "found.rttm"]);
        let score: Value = serde_json::from_str(stdout(&score)).unwrap();
        let scored = score["total"]["diarization_error_rate"].as_f64().unwrap();
        // RTTM has milliseconds.
        assert!((rate(row) - scored).abs() < 2e-3, "{row} {scored}");
    }
}

#[test]
fn the_best_parameters_can_be_pasted() {
    let directory = labeled();
    // A threshold of 2 merges everybody, so the best value is known.
    let table = run(&directory, &["--threshold", "2", "--try", "threshold=2,0.6", "talks"]);
    assert!(table.contains("\nBest: diarize --set threshold=0.6 …\n"), "{table}");
    assert!(table.lines().nth(2).unwrap().ends_with("(current)"), "{table}");
    let settings = table.split("diarize.toml:\n").nth(1).unwrap();
    fs::write(directory.path().join("diarize.toml"), settings.to_owned() + FAST).unwrap();
    let found = diarize_in(directory.path(), &["--format", "json", "talks/conversation.wav"]);
    let found: Value = serde_json::from_str(stdout(&found)).unwrap();
    assert_eq!(found["parameters"]["clustering"]["method"]["agglomerative"]["threshold"], 0.6);
    let csv =
        run(&directory, &["--try", "threshold=0.5", "--try", "min_cluster_size=1,2", "-f", "csv", "talks"]);
    assert!(csv.starts_with("threshold,min_cluster_size,der,"), "{csv}");
    assert_eq!(csv.lines().count(), 4, "{csv}");
}

#[test]
fn an_interrupted_search_continues() {
    let directory = labeled();
    let state = directory.path().join("tune.jsonl");
    let arguments = ["--state", "tune.jsonl", "--try", "threshold=0.5,0.7", "--try", "min_duration_off=0"];
    let first = json(&directory, &arguments);
    let whole = fs::read_to_string(&state).unwrap();
    // An interruption in the middle of the last line.
    fs::write(&state, &whole[..whole.len() - 20]).unwrap();
    let output = diarize_in(directory.path(), &[&["tune"], &arguments[..], &["talks"]].concat());
    assert!(stderr(&output).contains("conversation.wav: 1 tried"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&state).unwrap(), whole);
    // Now the audio is not read at all.
    fs::write(directory.path().join("talks/conversation.wav"), "").unwrap();
    assert_eq!(json(&directory, &arguments), first);

    for more in [&["--collar", "0.5"][..], &["--min-duration-on", "0.1"]] {
        let output = diarize_in(directory.path(), &[&["tune"], &arguments[..], more, &["talks"]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("other rules or other parameters"), "{}", stderr(&output));
    }
    assert_eq!(fs::read_to_string(&state).unwrap(), whole);
}

#[test]
fn a_uem_says_what_is_scored() {
    let directory = labeled();
    let wav = directory.path().join("talks/unknown.wav");
    write_silence(&wav);
    fs::write(wav.with_extension("rttm"), "SPEAKER unknown 1 0 1 <NA> <NA> A <NA> <NA>\n").unwrap();
    fs::write(directory.path().join("part.uem"), "conversation 1 5 12\n").unwrap();
    fs::write(directory.path().join("none.uem"), "other 1 5 12\n").unwrap();
    let arguments = ["--state", "tune.jsonl", "--try", "threshold=0.7", "--uem", "part.uem"];
    let report = json(&directory, &arguments);
    let found = diarize_in(directory.path(), &["--threshold", "0.7", "talks/conversation.wav"]);
    fs::write(directory.path().join("found.rttm"), stdout(&found)).unwrap();
    let score = diarize_in(
        directory.path(),
        &["score", "-f", "json", "--uem", "part.uem", "talks/conversation.rttm", "found.rttm"],
    );
    let score: Value = serde_json::from_str(stdout(&score)).unwrap();
    let row = report["tried"].as_array().unwrap();
    let row = row.iter().find(|row| row["parameters"]["threshold"] == "0.7").unwrap();
    for (tuned, scored) in [
        (&row["diarization_error_rate"], &score["total"]["diarization_error_rate"]),
        (&row["score"]["speech"], &score["total"]["speech"]),
    ] {
        let (tuned, scored) = (tuned.as_f64().unwrap(), scored.as_f64().unwrap());
        assert!((tuned - scored).abs() < 2e-3, "{tuned} {scored}");
    }

    let output = diarize_in(directory.path(), &[&["tune"], &arguments[..4], &["talks"]].concat());
    assert_eq!(output.status.code(), Some(1), "scores of other spans are in the file");
    let output = diarize_in(directory.path(), &["tune", "--uem", "none.uem", "talks"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("is skipped: conversation is not in the UEM file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn references_of_any_format_are_found_and_checked_next_to_the_audio() {
    let directory = labeled();
    let rttm = directory.path().join("talks/conversation.rttm");
    let arguments = ["--try", "threshold=0.7"];
    let expected = json(&directory, &arguments);
    let turns = diarize::parse_rttm(&fs::read_to_string(&rttm).unwrap()).unwrap().remove(0).1;
    fs::remove_file(&rttm).unwrap();
    let line =
        |turn: &diarize::Turn| format!("conversation 1 {} {} {}\n", turn.speaker, turn.start, turn.end);
    let stm: String = turns.iter().map(line).collect();
    fs::write(rttm.with_extension("stm"), format!("\u{feff}{stm}")).unwrap();
    assert_eq!(json(&directory, &arguments)["best"], expected["best"]);

    let milliseconds = "SPEAKER conversation 1 5000 3000 <NA> <NA> A <NA> <NA>\n";
    fs::write(&rttm, milliseconds).unwrap();
    let output = diarize_in(directory.path(), &[&["tune"], &arguments[..], &["talks"]].concat());
    let expected = "conversation.wav ends at 14.0 s, but its reference at 8000.0 s: check that";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
}

#[test]
fn impossible_searches_are_refused_before_any_work() {
    let directory = labeled();
    write_silence(&directory.path().join("talks/unknown.wav"));
    write_silence(&directory.path().join("alone.wav"));
    for (arguments, code, reason) in [
        (&["--try", "fa=0.1", "talks"][..], 2, "--try fa: agglomerative has no such parameter"),
        (
            &["--try", "threshold=-1", "talks"],
            2,
            "error: --try threshold=-1: the value must be a non-negative number",
        ),
        (&["--try", "step=fast", "talks"], 2, "error: --try step=fast: the value must be a number"),
        (&["--try", "threshold=1", "--try", "threshold=2", "talks"], 2, "is given twice"),
        (&["--try", "threshold", "talks"], 2, "must be KEY=VALUES"),
        (&["--try", "threshold=0:1:0.0000001", "talks"], 2, "more than 10000 values"),
        (
            &["--try", "threshold=1:200:1", "--try", "min_cluster_size=1:200:1", "talks"],
            2,
            "40000 combinations",
        ),
        (&["alone.wav"], 1, "no recording has a reference"),
        (&["talks", "missing.wav"], 1, "missing.wav: no such file"),
        (&["--state", "talks/conversation.rttm", "talks"], 1, "cannot use --state talks/conversation.rttm"),
    ] {
        let output = diarize_in(directory.path(), &[&["tune"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{arguments:?}: {}", stderr(&output));
    }
    let output = diarize_in(directory.path(), &["tune", "--try", "threshold=0.7", "talks"]);
    assert!(
        stderr(&output).contains("unknown.wav is skipped: there is no reference for unknown"),
        "{}",
        stderr(&output)
    );
}

/// The first search holds its file of scores while it waits for a recording that comes through a pipe.
#[cfg(unix)]
#[test]
fn two_searches_do_not_share_a_state() {
    let directory = labeled();
    let talks = directory.path().join("talks");
    let pipe = talks.join("pipe.wav");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    fs::write(talks.join("pipe.rttm"), "SPEAKER pipe 1 0 1 <NA> <NA> A <NA> <NA>\n").unwrap();
    let arguments = ["tune", "--state", "tune.jsonl", "--try", "threshold=0.5,0.7"];
    let first = Command::new(env!("CARGO_BIN_EXE_diarize"))
        .args(arguments)
        .arg("talks/pipe.wav")
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .spawn();
    let mut feed = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let search = || diarize_in(directory.path(), &[&arguments[..], &["talks"]].concat());
    let second = search();
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("another process is using tune.jsonl"), "{}", stderr(&second));
    feed.write_all(&fs::read(talks.join("conversation.wav")).unwrap()).unwrap();
    drop(feed);
    assert!(first.unwrap().wait().unwrap().success());
    assert!(search().status.success());
    let lines = fs::read_to_string(directory.path().join("tune.jsonl")).unwrap();
    let scores =
        lines.lines().filter(|line| serde_json::from_str::<Value>(line).unwrap().get("score").is_some());
    let of = |recording: &str| scores.clone().filter(|line| line.contains(recording)).count();
    assert!(of("\"pipe ") >= 2 && of("\"pipe ") == of("\"conversation "), "{lines}");
}

#[test]
fn scores_of_another_reference_are_not_used() {
    let directory = labeled();
    let told = || {
        let arguments = ["tune", "--state", "state.jsonl", "--try", "threshold=0.6", "talks"];
        stderr(&diarize_in(directory.path(), &arguments)).to_owned()
    };
    assert!(told().contains("2 tried"));
    assert!(told().contains("already scored"));
    let reference = directory.path().join("talks/conversation.rttm");
    let turns = fs::read_to_string(&reference).unwrap();
    fs::write(&reference, turns.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    assert!(told().contains("2 tried"));
}
