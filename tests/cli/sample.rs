//! The first command of the README: the sample conversation with the bundled model, and the result shown there.

use std::fs;

use diarize::parse_rttm;
use diarize_testkit::{der::diarization_error_rate, repository};

use crate::common::{diarize, stderr, stdout};

#[test]
fn three_speakers_of_the_sample_are_distinguished() {
    let folder = repository("tests/data");
    let output = diarize([folder.join("conversation.flac")]);
    assert!(output.status.success(), "{}", stderr(&output));
    let found = parse_rttm(stdout(&output)).unwrap();
    let truth = parse_rttm(&fs::read_to_string(folder.join("conversation.rttm")).unwrap()).unwrap();
    assert_eq!((found.len(), &found[0].0), (1, &truth[0].0));

    let mut speakers: Vec<&str> = found[0].1.iter().map(|turn| turn.speaker.as_str()).collect();
    speakers.sort_unstable();
    speakers.dedup();
    assert_eq!(speakers, ["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"]);
    let readme = include_str!("../../README.md");
    let shown: Vec<&str> = readme.lines().filter(|line| line.starts_with("SPEAKER ")).collect();
    let printed: Vec<&str> = stdout(&output).lines().take(shown.len()).collect();
    assert_eq!((shown.len(), &printed), (3, &shown), "the README shows another result");

    let rate = diarization_error_rate(&truth[0].1, &found[0].1);
    println!("diarization error rate: {:.1} %", 100.0 * rate);
    assert!(rate < 0.15, "diarization error rate: {:.1} %", 100.0 * rate);
}
