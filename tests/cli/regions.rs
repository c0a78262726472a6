//! `diarize vad` and `diarize overlap` on the sample conversation.

use diarize::{
    Turn, parse_rttm,
    scoring::{Rules, compare},
};
use diarize_testkit::repository;
use serde_json::Value;
use tempfile::tempdir;

use crate::common::{diarize, diarize_in, stderr, stdout, write_excerpt, write_silence};

fn sample(name: &str) -> String {
    repository("tests/data").join(name).display().to_string()
}

/// The time in which at least this many people speak, as turns of one speaker.
fn at_least(speakers: i32, turns: &[Turn]) -> Vec<Turn> {
    let mut edges: Vec<(f64, i32)> =
        turns.iter().flat_map(|turn| [(turn.start, 1), (turn.end, -1)]).collect();
    edges.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut now, mut regions) = (0, Vec::new());
    for edge in edges.windows(2) {
        now += edge[0].1;
        if now >= speakers {
            regions.push(Turn::new(edge[0].0, edge[1].0, "any"));
        }
    }
    regions
}

/// The detection error rate: missed plus false alarm, relative to the reference.
fn error(command: &str, speakers: i32) -> f64 {
    let output = diarize([command, &sample("conversation.flac")]);
    assert!(output.status.success(), "{}", stderr(&output));
    let found = parse_rttm(stdout(&output)).unwrap().remove(0).1;
    let truth = std::fs::read_to_string(sample("conversation.rttm")).unwrap();
    let truth = at_least(speakers, &parse_rttm(&truth).unwrap()[0].1);
    compare(&truth, &found, None, &Rules::default()).score.diarization_error_rate()
}

#[test]
fn speech_of_the_sample_is_found() {
    let error = error("vad", 1);
    assert!(error < 0.1, "{error}");
}

#[test]
fn regions_are_the_same_in_every_format() {
    let directory = tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    write_excerpt(14, &path("talk.wav"), &path("talk.rttm"));
    let regions = |command: &str, format: &str| {
        stdout(&diarize_in(directory.path(), &[command, "--format", format, "talk.wav"])).to_owned()
    };
    for (command, label) in [("vad", "SPEECH"), ("overlap", "OVERLAP")] {
        let turns = parse_rttm(&regions(command, "rttm")).unwrap().remove(0).1;
        assert!(!turns.is_empty() && turns.iter().all(|turn| turn.speaker == label));
        let json: Value = serde_json::from_str(&regions(command, "json")).unwrap();
        assert_eq!(json["kind"], label.to_lowercase());
        let csv = regions(command, "csv");
        let audacity = regions(command, "audacity");
        assert_eq!(json["regions"].as_array().unwrap().len(), turns.len());
        assert_eq!(csv.lines().count(), turns.len() + 1);
        for ((turn, region), (row, line)) in turns
            .iter()
            .zip(json["regions"].as_array().unwrap())
            .zip(csv.lines().skip(1).zip(audacity.lines()))
        {
            let near = |value: f64| (value - turn.start).abs() < 0.0006;
            assert!(near(region["start"].as_f64().unwrap()));
            assert!(near(row.split(',').nth(1).unwrap().parse().unwrap()));
            assert!(near(line.split('\t').next().unwrap().parse().unwrap()));
        }
    }
}

#[test]
fn a_directory_gives_one_file_and_a_bad_recording_does_not_stop_it() {
    let directory = tempdir().unwrap();
    write_silence(&directory.path().join("a.wav"));
    std::fs::write(directory.path().join("b.wav"), "no audio").unwrap();
    let output = diarize_in(directory.path(), &["vad", "-f", "json", "-o", "speech.json", "."]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("b.wav"), "{}", stderr(&output));
    assert!(stderr(&output).contains("a.wav: nobody speaks"), "{}", stderr(&output));
    let text = std::fs::read_to_string(directory.path().join("speech.json")).unwrap();
    let silent: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&silent["duration"], silent["regions"].as_array().unwrap().len()), (&1.0.into(), 0));
    let output = diarize_in(directory.path(), &["overlap", "-f", "audacity", "a.wav", "b.wav"]);
    assert_eq!(output.status.code(), Some(2));
}
