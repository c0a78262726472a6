//! `diarize embed`: files, parts of them and turns of results become vectors.

use std::fs;

use diarize_testkit::repository;
use ndarray::{Array2, ArrayView1};
use ndarray_npy::ReadNpyExt;
use serde_json::Value;
use tempfile::tempdir;

use crate::common::{diarize, diarize_bytes, diarize_in, names, stderr, stdout, write_silence};

fn sample(name: &str) -> String {
    repository("tests/data").join(name).display().to_string()
}

fn vector(embedded: &Value) -> Vec<f32> {
    let values = embedded["embedding"].as_array().unwrap().iter();
    values.map(|value| value.as_f64().unwrap() as f32).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (ArrayView1::from(a), ArrayView1::from(b));
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

#[test]
fn a_file_and_a_pipe_give_one_line_of_json() {
    let file = diarize(["embed", "--end", "2.5", &sample("conversation.flac")]);
    assert!(file.status.success(), "{}", stderr(&file));
    assert_eq!(stdout(&file).lines().count(), 1);
    let file: Value = serde_json::from_str(stdout(&file)).unwrap();
    assert_eq!(file["file"], sample("conversation.flac"));
    let embedded = &file["embeddings"][0];
    assert_eq!((&embedded["start"], &embedded["end"]), (&0.0.into(), &2.5.into()));
    assert_eq!(embedded.get("speaker"), None);
    assert!(vector(embedded).len() > 1 && vector(embedded).iter().any(|value| *value != 0.0));

    let pipe =
        diarize_bytes(&["embed", "--end", "2.5", "-"], &fs::read(sample("conversation.flac")).unwrap());
    let pipe: Value = serde_json::from_str(stdout(&pipe)).unwrap();
    assert_eq!(pipe["file"], "standard input");
    assert_eq!(pipe["embeddings"], file["embeddings"]);
}

#[test]
fn the_rows_of_an_array_are_the_files_and_their_turns_in_order() {
    let directory = tempdir().unwrap();
    let turns = "SPEAKER b 1 3.0 1.5 <NA> <NA> Ann <NA> <NA>\nSPEAKER b 1 6.0 1.0 <NA> <NA> Bob <NA> <NA>\n\
                 SPEAKER a 1 0.5 2.0 <NA> <NA> Eve <NA> <NA>\n";
    fs::write(directory.path().join("all.rttm"), turns).unwrap();
    for name in ["a.flac", "b.flac"] {
        fs::copy(sample("conversation.flac"), directory.path().join(name)).unwrap();
    }
    let arguments = ["embed", "--segments", "all.rttm", "a.flac", "b.flac"];
    let json = diarize_in(directory.path(), &arguments);
    let rows: Vec<Value> = stdout(&json)
        .lines()
        .flat_map(|line| {
            let document: Value = serde_json::from_str(line).unwrap();
            document["embeddings"].as_array().unwrap().clone()
        })
        .collect();
    assert_eq!(
        rows.iter().map(|row| row["speaker"].as_str().unwrap()).collect::<Vec<_>>(),
        ["Eve", "Ann", "Bob"]
    );
    let array = diarize_in(directory.path(), &[&arguments[..], &["-o", "all.npy"]].concat());
    assert!(array.status.success(), "{}", stderr(&array));
    let array = Array2::<f32>::read_npy(fs::File::open(directory.path().join("all.npy")).unwrap()).unwrap();
    assert_eq!(array.nrows(), 3);
    for (row, embedded) in array.rows().into_iter().zip(&rows) {
        assert_eq!(row.to_vec(), vector(embedded));
    }
}

#[test]
fn turns_of_one_speaker_are_more_alike_than_those_of_two() {
    let output = diarize(["embed", "--segments", &sample("conversation.rttm"), &sample("conversation.flac")]);
    assert!(output.status.success(), "{}", stderr(&output));
    let document: Value = serde_json::from_str(stdout(&output)).unwrap();
    let rows = document["embeddings"].as_array().unwrap();
    let (mut same, mut different) = (Vec::new(), Vec::new());
    for (index, a) in rows.iter().enumerate() {
        for b in &rows[..index] {
            let pairs = if a["speaker"] == b["speaker"] { &mut same } else { &mut different };
            pairs.push(cosine(&vector(a), &vector(b)));
        }
    }
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    println!("same {:.2}, different {:.2}", mean(&same), mean(&different));
    assert!(mean(&same) > mean(&different) + 0.2);
}

#[test]
fn errors_are_reported_and_an_array_is_complete_or_not_written() {
    let directory = tempdir().unwrap();
    write_silence(&directory.path().join("a.wav"));
    fs::write(directory.path().join("b.wav"), "no audio").unwrap();
    fs::write(directory.path().join("a.rttm"), "SPEAKER c 1 0 1 <NA> <NA> A <NA> <NA>\n").unwrap();
    fs::write(
        directory.path().join("ab.rttm"),
        "SPEAKER c 1 0 1 <NA> <NA> A <NA> <NA>\nSPEAKER d 1 0 1 <NA> <NA> A <NA> <NA>\n",
    )
    .unwrap();
    for (arguments, code, reason) in [
        (&["--start", "2", "a.wav"][..], 1, "a.wav: the recording ends at 1.0 s, before --start"),
        (&["--start", "0.5", "--end", "0.51", "a.wav"], 1, "cannot embed 0.500 s to 0.510 s"),
        (&["--start", "2", "--end", "1", "a.wav"], 2, "--start must be before --end"),
        (&["--segments", "ab.rttm", "a.wav"], 1, "--segments has no turns of a"),
        (
            &["--segments", "a.rttm", "--speaker", "B", "a.wav"],
            1,
            "a.rttm has no turn of a speaker called \"B\"",
        ),
        (&["--segments", "a.rttm", "--start", "1", "a.wav"], 2, "cannot be used with"),
        (&["--segments", "-", "-"], 2, "can be either audio or --segments, not both"),
        (&["-o", "out.npy", "a.wav", "b.wav"], 1, "no array is written, because 1 of 2 recordings failed"),
    ] {
        let output = diarize_in(directory.path(), &[&["embed"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{arguments:?}: {}", stderr(&output));
    }
    assert_eq!(names(directory.path()), ["a.rttm", "a.wav", "ab.rttm", "b.wav"]);
    // The name of a single recording does not matter, and lines of others survive.
    let named = diarize_in(directory.path(), &["embed", "--segments", "a.rttm", "a.wav"]);
    assert!(named.status.success(), "{}", stderr(&named));
    let both = diarize_in(directory.path(), &["embed", "a.wav", "b.wav"]);
    assert_eq!((both.status.code(), stdout(&both).lines().count()), (Some(1), 1));
}

/// Turns of a few milliseconds, as results contain them, do not stop the others.
#[test]
fn a_turn_that_is_too_short_has_no_embedding() {
    let directory = tempdir().unwrap();
    let turns =
        "SPEAKER a 1 3.0 1.5 <NA> <NA> Ann <NA> <NA>\nSPEAKER a 1 6.0 0.017 <NA> <NA> Bob <NA> <NA>\n";
    fs::write(directory.path().join("a.rttm"), turns).unwrap();
    fs::copy(sample("conversation.flac"), directory.path().join("a.flac")).unwrap();
    let json = diarize_in(directory.path(), &["embed", "--segments", "a.rttm", "a.flac"]);
    assert!(
        json.status.success() && stderr(&json).contains("1 of 2 parts have no embedding"),
        "{}",
        stderr(&json)
    );
    let document: Value = serde_json::from_str(stdout(&json)).unwrap();
    assert_eq!(document["embeddings"].as_array().unwrap().len(), 1);
    let npy = diarize_in(directory.path(), &["embed", "--segments", "a.rttm", "-o", "a.npy", "a.flac"]);
    assert!(npy.status.success(), "{}", stderr(&npy));
    let rows = Array2::<f32>::read_npy(fs::File::open(directory.path().join("a.npy")).unwrap()).unwrap();
    assert!(rows.row(0).iter().all(|x| x.is_finite()) && rows.row(1).iter().all(|x| x.is_nan()));
    let single = diarize_in(directory.path(), &["embed", "--start", "1", "--end", "1.01", "a.flac"]);
    assert!(!single.status.success() && stderr(&single).contains("at least 25 ms"), "{}", stderr(&single));
}
