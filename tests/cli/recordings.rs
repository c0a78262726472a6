//! Recordings that are often read incorrectly, and options for reading them.

use std::{fs, path::Path};

use diarize::{Turn, parse_rttm};
use diarize_testkit::{repository, wav::write_i16};
use serde_json::Value;
use tempfile::tempdir;

use crate::common::{diarize_in, names, stderr, stdout};

/// The first seconds of the sample conversation, as 16-bit samples.
fn conversation(seconds: f64) -> Vec<i16> {
    let samples = diarize_audio::read(&repository("tests/data/conversation.flac"), &Default::default())
        .unwrap()
        .samples;
    let count = (seconds * 16_000.0) as usize;
    samples[..count].iter().map(|sample| (sample * 32_768.0) as i16).collect()
}

fn case(name: &str) -> String {
    repository("tests/data/cases").join(name).display().to_string()
}

/// The turns of a run that must succeed, and what it wrote to the standard error.
fn turns(directory: &Path, arguments: &[&str]) -> (Vec<Turn>, String) {
    let output = diarize_in(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    let turns = parse_rttm(stdout(&output)).unwrap().into_iter().flat_map(|(_, turns)| turns).collect();
    (turns, stderr(&output).to_owned())
}

/// The last chunk is padded with silence, in which pyannote's turns can end.
#[test]
fn no_turn_ends_after_the_recording() {
    let directory = tempdir().unwrap();
    for (name, seconds) in [("a.wav", 2.0), ("b.wav", 6.0), ("c.wav", 0.5), ("d.wav", 11.0)] {
        write_i16(&directory.path().join(name), 16_000, 1, &conversation(seconds));
        let (found, _) = turns(directory.path(), &["-q", name]);
        let last = found.iter().map(|turn| turn.end).fold(0.0, f64::max);
        assert!(last <= seconds + 1e-9, "{name} ends at {last} s");
        if seconds > 1.0 {
            assert!(last > seconds - 0.05, "the excerpt ends within speech: {last}");
        }
    }
    let (pyannote, _) = turns(directory.path(), &["-q", "--compat", "pyannote-4.0", "a.wav"]);
    assert!(pyannote.iter().any(|turn| turn.end > 2.0), "{pyannote:?}");
}

#[test]
fn settings_that_pyannote_does_not_have_are_named_if_it_is_reproduced() {
    let directory = tempdir().unwrap();
    write_i16(&directory.path().join("a.wav"), 16_000, 1, &conversation(6.0));
    let warning = "pyannote does not have fb_exponent and merge_distance, with which this model was fitted";
    for (arguments, warned) in [
        (&["a.wav"][..], false),
        (&["--compat", "pyannote-4.0", "a.wav"], true),
        (&["--compat", "pyannote-3.3", "--clustering", "agglomerative", "a.wav"], false),
    ] {
        let (_, told) = turns(directory.path(), arguments);
        assert_eq!(told.contains(warning), warned, "{arguments:?}: {told}");
    }
}

#[test]
fn channels_that_cancel_each_other_are_not_silence() {
    let directory = tempdir().unwrap();
    let mono = conversation(8.0);
    let stereo: Vec<i16> = mono.iter().flat_map(|&sample| [sample, sample.saturating_neg()]).collect();
    write_i16(&directory.path().join("mono.wav"), 16_000, 1, &mono);
    write_i16(&directory.path().join("stereo.wav"), 16_000, 2, &stereo);
    let (expected, _) = turns(directory.path(), &["-q", "mono.wav"]);
    let (found, told) = turns(directory.path(), &["stereo.wav"]);
    assert_eq!(found, expected);
    assert!(!found.is_empty());
    assert!(told.contains("the channels cancel each other (inverted polarity)"), "{told}");
}

#[test]
fn json_says_where_time_0_is() {
    let directory = tempdir().unwrap();
    for (clock, offset, duration) in [("media", 0.5, 1.5), ("audio", 0.0, 1.0)] {
        let output = diarize_in(directory.path(), &["-q", "-f", "json", "--time", clock, &case("late.mp4")]);
        let result: Value = serde_json::from_str(stdout(&output)).unwrap();
        assert_eq!(
            (&result["audio"]["clock"], &result["audio"]["channels"]),
            (&clock.into(), &"mean".into())
        );
        let near = |key: &Value, expected: f64| (key.as_f64().unwrap() - expected).abs() < 0.07;
        assert!(near(&result["audio"]["start_offset"], offset), "{result}");
        assert!(near(&result["duration"], duration), "{result}");
    }
}

#[test]
fn a_part_keeps_the_times_of_the_recording() {
    let directory = tempdir().unwrap();
    write_i16(&directory.path().join("a.wav"), 16_000, 1, &conversation(24.0));
    write_i16(&directory.path().join("cut.wav"), 16_000, 1, &conversation(22.0)[6 * 16_000..]);
    for command in [&[][..], &["vad"]] {
        let run = |arguments: &[&str]| turns(directory.path(), &[command, arguments].concat()).0;
        let cut = run(&["-q", "cut.wav"]);
        let part = run(&["-q", "--start", "6", "--end", "0:22", "a.wav"]);
        assert_eq!(part.len(), cut.len());
        assert!(!part.is_empty());
        for (part, cut) in part.iter().zip(&cut) {
            assert_eq!(part.speaker, cut.speaker);
            assert!((part.start - cut.start - 6.0).abs() < 0.0015, "{part:?}, {cut:?}");
            assert!((part.end - cut.end - 6.0).abs() < 0.0015, "{part:?}, {cut:?}");
        }
    }
    let output = diarize_in(directory.path(), &["-q", "-f", "json", "--start", "6", "--end", "22", "a.wav"]);
    let result: Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!((&result["duration"], &result["audio"]["start"]), (&22.0.into(), &6.0.into()));
    let late = diarize_in(directory.path(), &["--start", "30", "a.wav"]);
    assert_eq!(late.status.code(), Some(1));
    assert!(stderr(&late).contains("the part starts at 30.000 s, but the recording ends at 24.000 s"));
    let empty = diarize_in(directory.path(), &["--start", "9", "--end", "9", "a.wav"]);
    assert_eq!(empty.status.code(), Some(2));
    assert!(stderr(&empty).contains("--start must be before --end"), "{}", stderr(&empty));
    for command in ["vad", "embed"] {
        let empty = diarize_in(directory.path(), &[command, "--start", "9", "--end", "8", "a.wav"]);
        assert_eq!(empty.status.code(), Some(2), "{}", stderr(&empty));
        assert_eq!(stderr(&empty).matches("error:").count(), 1, "{}", stderr(&empty));
    }
}

#[test]
fn several_tracks_are_reported_and_can_be_selected() {
    let directory = tempdir().unwrap();
    let told = |arguments: &[&str]| {
        let file = case("two-tracks.mka");
        stderr(&diarize_in(directory.path(), &[arguments, &[&*file]].concat())).to_owned()
    };
    let several = "has 2 audio tracks, of which only track 0 is used; choose others with --track";
    assert!(told(&[]).contains(several), "{}", told(&[]));
    for choice in ["0", "1", "all"] {
        assert!(!told(&["--track", choice]).contains("audio track"), "{}", told(&["--track", choice]));
    }
    assert!(told(&["--track", "2"]).contains("has no audio track 2 (audio tracks: 2, counted from 0)"));
    assert!(told(&["--track", "x"]).contains("must be a number, counted from 0, or `all`"));
}

#[test]
fn much_damage_needs_an_option() {
    let directory = tempdir().unwrap();
    let mut bytes = fs::read(repository("tests/data/formats/tone.flac")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 300].fill(0x55);
    fs::write(directory.path().join("a.flac"), bytes).unwrap();
    let refused = diarize_in(directory.path(), &["-q", "a.flac"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("accept the loss with --keep-damaged"), "{}", stderr(&refused));
    let (_, told) = turns(directory.path(), &["-q", "--keep-damaged", "a.flac"]);
    assert!(told.contains("is missing in 1 place and was replaced by silence"), "{told}");
}

#[test]
fn folders_include_files_of_every_container_that_is_read() {
    let directory = tempdir().unwrap();
    let results = directory.path().join("results");
    for name in ["a.3gp", "b.m4v", "c.qta", "d.au", "e.opus"] {
        fs::copy(repository("tests/data/formats/tone.flac"), directory.path().join(name)).unwrap();
    }
    let output = diarize_in(directory.path(), &["-q", "-o", "results/", "."]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(names(&results), ["a.rttm", "b.rttm", "c.rttm", "d.rttm", "e.rttm"]);
}

#[test]
fn folders_name_recordings_whose_format_is_not_read() {
    let directory = tempdir().unwrap();
    for name in ["a.flac", "b.wma", "c.avi", "notes.txt"] {
        fs::copy(repository("tests/data/formats/tone.flac"), directory.path().join(name)).unwrap();
    }
    let output = diarize_in(directory.path(), &["-o", "results/", "."]);
    assert!(output.status.success(), "{}", stderr(&output));
    let told = "warning: 2 files are skipped, because the format is not read: convert them first; the first is ./b.wma";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
}
