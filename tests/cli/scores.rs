//! `diarize score`: results scored against a reference.

use std::{fs, path::Path};

use diarize_testkit::repository;
use serde_json::Value;
use tempfile::tempdir;

use crate::common::{diarize, diarize_bytes, diarize_in, stderr, stdout};

const REFERENCE: &str = "\
SPEAKER meeting 1 0.000 10.000 <NA> <NA> Ann <NA> <NA>
SPEAKER meeting 1 10.000 10.000 <NA> <NA> Bob <NA> <NA>
";

/// One second of Bob is attributed to Ann, two seconds are missed and one is a false alarm.
const FOUND: &str = "\
SPEAKER meeting 1 0.000 11.000 <NA> <NA> SPEAKER_00 <NA> <NA>
SPEAKER meeting 1 11.000 7.000 <NA> <NA> SPEAKER_01 <NA> <NA>
SPEAKER meeting 1 20.000 1.000 <NA> <NA> SPEAKER_01 <NA> <NA>
";

/// Writes files with these names and contents into a directory.
fn write(directory: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// The output of `diarize score --format json`.
fn json(directory: &Path, arguments: &[&str]) -> Value {
    let output = diarize_in(directory, &[&["score", "--format", "json"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_str(stdout(&output)).unwrap()
}

/// The example of the guide, exactly.
#[test]
fn a_file_is_scored_as_in_the_guide() {
    let guide = fs::read_to_string(repository("crates/diarize-cli/docs/guide.md")).unwrap();
    let (_, example) = guide.split_once("$ diarize score reference.rttm meeting.rttm\n").unwrap();
    let (expected, _) = example.split_once("```").unwrap();
    let directory = tempdir().unwrap();
    write(directory.path(), &[("reference.rttm", REFERENCE), ("meeting.rttm", FOUND)]);
    let output = diarize_in(directory.path(), &["score", "reference.rttm", "meeting.rttm"]);
    assert_eq!(stderr(&output), "");
    assert_eq!(stdout(&output), expected);
}

#[test]
fn json_holds_seconds_rates_and_who_was_found_for_whom() {
    let directory = tempdir().unwrap();
    write(directory.path(), &[("ref.rttm", REFERENCE), ("hyp.rttm", FOUND)]);
    let scores = json(directory.path(), &["ref.rttm", "hyp.rttm"]);
    let total = &scores["total"];
    assert_eq!((&total["speech"], &total["missed"]), (&Value::from(20.0), &Value::from(2.0)));
    assert_eq!((&total["false_alarm"], &total["confused"]), (&Value::from(1.0), &Value::from(1.0)));
    assert_eq!(total["diarization_error_rate"], 0.2);
    // Ann: 10 of 11 seconds; Bob: 7 of 11.
    let jer = total["jaccard_error_rate"].as_f64().unwrap();
    assert!((jer - (1.0 / 11.0 + 4.0 / 11.0) / 2.0).abs() < 1e-9, "{jer}");
    assert_eq!(scores["recordings"][0]["recording"], "meeting");
    assert_eq!(scores["recordings"][0]["mapping"]["Bob"], "SPEAKER_01");
}

#[test]
fn both_conventions_of_a_collar_say_the_same_thing() {
    let directory = tempdir().unwrap();
    write(directory.path(), &[("ref.rttm", REFERENCE), ("hyp.rttm", FOUND)]);
    let pyannote = json(directory.path(), &["--collar", "0.5", "ref.rttm", "hyp.rttm"]);
    let md_eval =
        json(directory.path(), &["--convention", "md-eval", "--collar", "0.25", "ref.rttm", "hyp.rttm"]);
    assert_eq!(pyannote, md_eval);
    // Not scored: half a second at 10 s, a quarter at 0 s and before 20 s, and a quarter of the false alarm.
    let total = &pyannote["total"];
    assert_eq!((&total["speech"], &total["false_alarm"]), (&Value::from(19.0), &Value::from(0.75)));
    assert_eq!(total["confused"], 0.75);
}

#[test]
fn folders_are_scored_file_by_file_and_in_total() {
    let directory = tempdir().unwrap();
    let talk = REFERENCE.replace("meeting", "talk");
    write(
        directory.path(),
        &[
            ("ref/all.rttm", &format!("{REFERENCE}{talk}")),
            ("ref/lost.rttm", &REFERENCE.replace("meeting", "lost")),
            ("hyp/meeting.rttm", FOUND),
            ("hyp/talk.rttm", &talk),
            ("hyp/silent.rttm", ""),
        ],
    );
    let output = diarize_in(directory.path(), &["score", "--format", "csv", "ref", "hyp"]);
    let rows: Vec<Vec<&str>> = stdout(&output).lines().map(|line| line.split(',').collect()).collect();
    let names: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(names, ["recording", "lost", "meeting", "talk", "TOTAL"]);
    let rates: Vec<&str> = rows[1..].iter().map(|row| row[1]).collect();
    assert_eq!(rates, ["1.000000", "0.200000", "0.000000", "0.400000"]);
    assert!(
        stderr(&output).contains("lost is not in the results: it is scored as if no speech was found"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("silent is not scored: it is not in the reference"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn only_what_a_uem_names_is_scored() {
    let directory = tempdir().unwrap();
    let both = format!("{REFERENCE}{}", REFERENCE.replace("meeting", "talk"));
    write(directory.path(), &[("ref.rttm", &both), ("hyp.rttm", FOUND), ("all.uem", "meeting 1 0.0 10.5\n")]);
    let scores = json(directory.path(), &["--uem", "all.uem", "ref.rttm", "hyp.rttm"]);
    assert_eq!(scores["recordings"].as_array().unwrap().len(), 1);
    assert_eq!((&scores["total"]["speech"], &scores["total"]["confused"]), (&10.5.into(), &0.5.into()));
}

#[test]
fn time_with_several_speakers_is_left_out_on_request() {
    let directory = tempdir().unwrap();
    let overlapping = format!("{REFERENCE}SPEAKER meeting 1 4 2 <NA> <NA> Bob <NA> <NA>\n");
    write(directory.path(), &[("ref.rttm", &overlapping), ("hyp.rttm", REFERENCE)]);
    let missed = |arguments: &[&str]| json(directory.path(), arguments)["total"]["missed"].clone();
    assert_eq!(missed(&["ref.rttm", "hyp.rttm"]), 2.0);
    assert_eq!(missed(&["--skip-overlap", "ref.rttm", "hyp.rttm"]), 0.0);
}

#[test]
fn results_come_from_a_pipe_under_any_name() {
    let directory = tempdir().unwrap();
    write(directory.path(), &[("ref.rttm", REFERENCE)]);
    let reference = directory.path().join("ref.rttm");
    let found = FOUND.replace("meeting", "stdin");
    let output = diarize_bytes(&["score", reference.to_str().unwrap(), "-"], found.as_bytes());
    assert!(stdout(&output).contains(" 20.00 "), "{}", stdout(&output));
    assert!(stderr(&output).contains("comparing stdin with meeting"), "{}", stderr(&output));
}

#[test]
fn invalid_rttm_is_reported_with_its_line() {
    let directory = tempdir().unwrap();
    write(directory.path(), &[("ref.rttm", REFERENCE), ("hyp.rttm", "hello\n"), ("bad.uem", "a b\n")]);
    let says = |arguments: &[&str], parts: &[&str]| {
        let output = diarize_in(directory.path(), &[&["score"], arguments].concat());
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
        for part in parts {
            assert!(stderr(&output).contains(part), "{}", stderr(&output));
        }
    };
    says(&["ref.rttm", "hyp.rttm"], &["hyp.rttm", "line 1"]);
    says(&["ref.rttm", "lost.rttm"], &["cannot read lost.rttm"]);
    says(&["--uem", "bad.uem", "ref.rttm", "ref.rttm"], &["bad.uem", "line 1 is not valid UEM"]);
    assert_eq!(diarize(["score", "--collar", "-1", "a", "b"]).status.code(), Some(2));
}
