//! `--channels separate` on stereo made from the sample conversation.

use std::fs;

use diarize::{
    Turn, parse_rttm,
    scoring::{Rules, compare},
};
use diarize_testkit::wav::read;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::common::{diarize_bytes, diarize_in, names, stderr, stdout, write_excerpt, write_i16};

const RATE: f64 = 16_000.0;

/// A directory with `talk.wav`: anna (and, later, carol) left, ben right, who also speaks while anna does. Each channel
/// has 5 % of the other one (-26 dB), and the right one is half as loud as it was.
fn talk() -> (TempDir, Vec<Turn>) {
    let directory = tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    write_excerpt(13, &path("mono.wav"), &path("mono.rttm"));
    let mono: Vec<f64> = read(&path("mono.wav")).into_iter().map(f64::from).collect();
    let turns = parse_rttm(&fs::read_to_string(path("mono.rttm")).unwrap()).unwrap().remove(0).1;
    let (mut left, mut right) = (vec![0.0; mono.len()], vec![0.0; mono.len()]);
    let mut expected = Vec::new();
    for Turn { start, end, speaker, .. } in turns {
        let (channel, name, moved) = match speaker.as_str() {
            "ben" => (&mut right, "RIGHT", 2.0),
            _ => (&mut left, "LEFT", 0.0),
        };
        let (first, count) = ((start * RATE) as usize, ((end - start) * RATE) as usize);
        let to = ((start - moved) * RATE) as usize;
        channel[to..to + count].copy_from_slice(&mono[first..first + count]);
        expected.push(Turn::new(start - moved, end - moved, name));
    }
    let frames = left.iter().zip(&right).flat_map(|(l, r)| [l + 0.05 * r, 0.5 * (r + 0.05 * l)]);
    let samples: Vec<i16> = frames.map(|sample| (32_767.0 * sample) as i16).collect();
    write_i16(&path("talk.wav"), 16_000, 2, &samples);
    (directory, expected)
}

fn rttm(text: &str) -> Vec<Turn> {
    parse_rttm(text).unwrap().remove(0).1
}

#[test]
fn each_channel_is_a_speaker_and_crosstalk_is_left_out() {
    let (directory, expected) = talk();
    let output = diarize_in(directory.path(), &["--channels", "separate", "talk.wav"]);
    assert_eq!(stderr(&output), "");
    let found = rttm(stdout(&output));
    let error = compare(&expected, &found, None, &Rules::default()).score;
    assert!(error.diarization_error_rate() < 0.1, "{found:?}");
    let named: Vec<&str> = found.iter().map(|turn| turn.speaker.as_str()).collect();
    assert!(named.contains(&"LEFT") && named.contains(&"RIGHT"), "{named:?}");

    let audio = fs::read(directory.path().join("talk.wav")).unwrap();
    let piped = diarize_bytes(&["--channels", "separate", "-"], &audio);
    assert_eq!(rttm(stdout(&piped)), found, "from the standard input");
}

#[test]
fn every_format_names_the_speakers_and_parts_keep_their_time() {
    let (directory, expected) = talk();
    fs::write(
        directory.path().join("words.json"),
        r#"{"segments": [{"start": 0.8, "end": 1.5, "text": " Hello"}, {"start": 4.5, "end": 6.0, "text": " Yes"}]}"#,
    )
    .unwrap();
    let common = ["--channels", "separate", "--channel-names", "Ann,Ben"];
    let run = |more: &[&str]| diarize_in(directory.path(), &[&common[..], more, &["talk.wav"]].concat());
    let output = run(&["-f", "rttm,json,csv,srt,html,txt", "-o", "out/"]);
    assert_eq!(stderr(&output), "");
    for file in names(&directory.path().join("out")) {
        let text = fs::read_to_string(directory.path().join("out").join(&file)).unwrap();
        assert!(text.contains("Ann") && text.contains("Ben"), "{file}");
    }
    let json = fs::read_to_string(directory.path().join("out/talk.json")).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["speakers"].as_array().unwrap().len(), 2);
    assert!(json["turns"][0].get("confidence").is_none());

    let output = run(&["--transcript", "words.json", "-f", "txt"]);
    assert_eq!(stdout(&output), "[00:00:00] Ann: Hello\n\n[00:00:04] Ben: Yes\n", "{}", stderr(&output));

    let part = rttm(stdout(&run(&["--start", "9", "--end", "13"])));
    let carol = expected.iter().map(|turn| turn.start).fold(0.0, f64::max);
    assert!(part.iter().all(|turn| turn.speaker == "Ann"), "{part:?}");
    assert!((part[0].start - carol).abs() < 0.2, "{part:?} instead of {carol}");
}

#[test]
fn channels_that_cannot_be_separated_are_a_sentence() {
    let (directory, _) = talk();
    let mono = read(&directory.path().join("mono.wav"));
    let twice: Vec<i16> = mono.iter().flat_map(|sample| [(30_000.0 * sample) as i16; 2]).collect();
    write_i16(&directory.path().join("twice.wav"), 16_000, 2, &twice);
    let fails = |arguments: &[&str], code: i32, sentence: &str| {
        let output = diarize_in(directory.path(), &[&["--channels", "separate"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(sentence), "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
    };
    fails(&["mono.wav"], 1, "mono.wav: has a single channel");
    fails(&["twice.wav"], 1, "the channels of LEFT and RIGHT carry the same sound");
    fails(
        &["--channel-names", "Ann,Bob,Zoë", "talk.wav"],
        1,
        "has 2 channels, but the number of --channel-names is 3",
    );
    fails(&["--channel-names", "Ann,Ann", "talk.wav"], 2, "--channel-names has Ann twice");
    fails(&["--channel", "1", "talk.wav"], 2, "cannot be used with");
    for (option, value) in [
        ("--num-speakers", "2"),
        ("--clustering", "kmeans"),
        ("--identify", "speakers.safetensors"),
        ("--threshold", "0.5"),
    ] {
        fails(&[option, value, "talk.wav"], 2, &format!("{option} has no meaning with --channels separate"));
    }
    let output = diarize_in(directory.path(), &["--channel-names", "Ann,Bob", "talk.wav"]);
    assert!(stderr(&output).contains("--channel-names needs --channels separate"), "{}", stderr(&output));
}

#[test]
fn a_batch_reports_the_mono_file_and_goes_on() {
    let (directory, _) = talk();
    let output =
        diarize_in(directory.path(), &["--channels", "separate", "-o", "out", "mono.wav", "talk.wav"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(names(&directory.path().join("out")), ["talk.rttm"]);
}
