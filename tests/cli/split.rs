//! `diarize split` on stereo whose samples tell where they come from.

use std::{fs, path::Path};

use diarize_testkit::wav::{read, write_f32};
use hound::{SampleFormat, WavReader, WavSpec};
use tempfile::{TempDir, tempdir};

use crate::common::{
    diarize_bytes, diarize_in, names, stderr, stdout, write_excerpt, write_i16, write_silence,
};

const RATE: usize = 8_000;

/// Ann from 1 to 3 s and from 5 to 6 s, Bob from 2.5 to 4 s.
const TURNS: &str = "SPEAKER ramp 1 1.000 2.000 <NA> <NA> Ann <NA> <NA>\n\
                     SPEAKER ramp 1 2.500 1.500 <NA> <NA> Bob <NA> <NA>\n\
                     SPEAKER ramp 1 5.000 1.000 <NA> <NA> Ann <NA> <NA>\n";

/// The left and right sample of a frame of `ramp.wav`.
fn frame(index: usize) -> [i16; 2] {
    [(index / 2) as i16 + 100, -((index / 3) as i16) - 100]
}

/// A directory with `ramp.wav`, 7 s of stereo at 8 kHz, and its turns.
fn ramp() -> TempDir {
    let directory = tempdir().unwrap();
    let samples: Vec<i16> = (0..7 * RATE).flat_map(frame).collect();
    write_i16(&directory.path().join("ramp.wav"), RATE as u32, 2, &samples);
    fs::write(directory.path().join("ramp.rttm"), TURNS).unwrap();
    directory
}

fn split(directory: &Path, arguments: &[&str]) -> std::process::Output {
    diarize_in(directory, &[&["split", "--segments", "ramp.rttm", "-o", "out"], arguments].concat())
}

/// The frames of a file in `out`.
fn frames(directory: &Path, name: &str) -> Vec<[i16; 2]> {
    let mut reader = WavReader::open(directory.join("out").join(name)).unwrap();
    let spec =
        WavSpec { channels: 2, sample_rate: 8_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    assert_eq!(reader.spec(), spec);
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    samples.chunks(2).map(|frame| [frame[0], frame[1]]).collect()
}

/// Checks that a part is that of the recording from `start` to `end` seconds, faded in and out over 5 ms.
fn assert_part(found: &[[i16; 2]], start: f64, end: f64) {
    let (first, count) = ((start * RATE as f64) as usize, ((end - start) * RATE as f64) as usize);
    assert_eq!(found.len(), count);
    let whole = 40..count - 40;
    assert!(whole.clone().all(|index| found[index] == frame(first + index)), "from {start} to {end} s");
    for edge in [0, count - 1] {
        assert!(
            found[edge][0].abs() < frame(first + edge)[0] / 20,
            "the part from {start} to {end} s clicks"
        );
    }
}

#[test]
fn a_speakers_turns_follow_each_other_without_overlap() {
    let directory = ramp();
    let output = split(directory.path(), &["ramp.wav"]);
    assert_eq!(stderr(&output), "");
    assert_eq!(stdout(&output), "out/Ann.wav\nout/Bob.wav\n");
    assert_eq!(names(&directory.path().join("out")), ["Ann.wav", "Bob.wav"]);
    let ann = frames(directory.path(), "Ann.wav");
    assert_part(&ann[..12_000], 1.0, 2.5);
    assert_part(&ann[12_000..], 5.0, 6.0);
    assert_part(&frames(directory.path(), "Bob.wav"), 3.0, 4.0);
}

#[test]
fn overlap_stays_if_it_is_wanted() {
    let directory = ramp();
    split(directory.path(), &["--overlap", "ramp.wav"]);
    assert_part(&frames(directory.path(), "Ann.wav")[..16_000], 1.0, 3.0);
    assert_part(&frames(directory.path(), "Bob.wav"), 2.5, 4.0);
}

#[test]
fn files_line_up_with_the_recording_if_time_is_kept() {
    let directory = ramp();
    split(directory.path(), &["--keep-time", "ramp.wav"]);
    let bob = frames(directory.path(), "Bob.wav");
    assert_eq!(bob.len(), 7 * RATE);
    assert_part(&bob[24_000..32_000], 3.0, 4.0);
    assert!(bob[..24_000].iter().chain(&bob[32_000..]).all(|frame| *frame == [0, 0]));
}

#[test]
fn each_turn_has_a_file_that_sorts_by_time() {
    let directory = ramp();
    split(directory.path(), &["--each-turn", "ramp.wav"]);
    let expected = ["00-00-01.000-Ann.wav", "00-00-02.500-Bob.wav", "00-00-05.000-Ann.wav"];
    assert_eq!(names(&directory.path().join("out")), expected);
    assert_part(&frames(directory.path(), expected[2]), 5.0, 6.0);
}

#[test]
fn a_part_of_the_recording_and_one_channel_can_be_chosen() {
    let directory = ramp();
    split(directory.path(), &["--start", "2", "--end", "5.5", "ramp.wav"]);
    let ann = frames(directory.path(), "Ann.wav");
    assert_part(&ann[..4_000], 2.0, 2.5);
    assert_part(&ann[4_000..], 5.0, 5.5);
    fs::remove_dir_all(directory.path().join("out")).unwrap();
    split(directory.path(), &["--channel", "1", "ramp.wav"]);
    let right = read(&directory.path().join("out/Bob.wav"));
    assert!((right[4_000] * 32_768.0) as i16 == frame(3 * RATE + 4_000)[1]);
}

#[test]
fn floating_point_stays_floating_point() {
    let directory = ramp();
    let samples: Vec<f32> = (0..7 * RATE).map(|index| 1e-6 * index as f32).collect();
    write_f32(&directory.path().join("fine.wav"), RATE as u32, 1, &samples);
    split(directory.path(), &["fine.wav"]);
    let mut reader = WavReader::open(directory.path().join("out/Bob.wav")).unwrap();
    let found: Vec<f32> = reader.samples().map(Result::unwrap).collect();
    assert_eq!(found[4_000], samples[3 * RATE + 4_000]);
}

#[test]
fn a_recording_is_diarized_if_there_is_no_result() {
    let directory = tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    write_excerpt(9, &path("talk.wav"), &path("talk.rttm"));
    let audio = fs::read(path("talk.wav")).unwrap();
    let split = |arguments: &[&str]| {
        diarize_in(directory.path(), &[&["split", "--num-speakers", "2"], arguments].concat())
    };
    let output = split(&["-o", "voices", "talk.wav"]);
    assert_eq!(names(&path("voices")), ["SPEAKER_00.wav", "SPEAKER_01.wav"], "{}", stderr(&output));
    let seconds = |name: &str| read(&path(name)).len() as f64 / 16_000.0;
    let all = seconds("voices/SPEAKER_00.wav") + seconds("voices/SPEAKER_01.wav");
    assert!((all - 7.7).abs() < 0.5, "{all} s of 3.06 s and 4.65 s");
    let piped = path("piped").display().to_string();
    diarize_bytes(&["split", "--num-speakers", "2", "-o", &piped, "-"], &audio);
    assert_eq!(read(&path("piped/SPEAKER_01.wav")), read(&path("voices/SPEAKER_01.wav")));
}

#[test]
fn silence_gives_a_sentence_and_no_files() {
    let directory = tempdir().unwrap();
    write_silence(&directory.path().join("silence.wav"));
    let output = diarize_in(directory.path(), &["split", "-o", "voices", "silence.wav"]);
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(
        stderr(&output).contains("silence.wav: nobody speaks, so no files are written"),
        "{}",
        stderr(&output)
    );
    assert_eq!(names(directory.path()), ["silence.wav"]);
}

#[test]
fn nothing_is_overwritten_and_names_cannot_leave_the_directory() {
    let directory = ramp();
    fs::create_dir(directory.path().join("out")).unwrap();
    fs::write(directory.path().join("out/ann.WAV"), "kept").unwrap();
    let output = split(directory.path(), &["ramp.wav"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("out/ann.WAV exists and could be overwritten"), "{}", stderr(&output));
    assert_eq!(names(&directory.path().join("out")), ["ann.WAV"]);
    fs::remove_dir_all(directory.path().join("out")).unwrap();
    let turns = TURNS.replace("Ann", "../Ann").replace("Bob", ".._ann");
    fs::write(directory.path().join("ramp.rttm"), turns).unwrap();
    split(directory.path(), &["ramp.wav"]);
    assert_eq!(names(&directory.path().join("out")), ["_Ann.wav", "_ann-2.wav"]);
    assert_eq!(names(directory.path()), ["out", "ramp.rttm", "ramp.wav"]);
}

#[test]
fn a_failure_leaves_no_files() {
    let directory = ramp();
    let late = "SPEAKER ramp 1 50.000 2.000 <NA> <NA> Ann <NA> <NA>\n";
    fs::write(directory.path().join("ramp.rttm"), late).unwrap();
    let output = split(directory.path(), &["ramp.wav"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("the recording ends at 7.0 s"), "{}", stderr(&output));
    let output = split(directory.path(), &["missing.wav"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(names(directory.path()), ["ramp.rttm", "ramp.wav"]);
}

#[test]
fn several_recordings_have_a_directory_each() {
    let directory = ramp();
    fs::copy(directory.path().join("ramp.wav"), directory.path().join("other.wav")).unwrap();
    fs::create_dir(directory.path().join("results")).unwrap();
    for name in ["ramp", "other"] {
        fs::write(directory.path().join(format!("results/{name}.rttm")), TURNS.replace("ramp", name))
            .unwrap();
    }
    let arguments = ["split", "--segments", "results", "-o", "out", "ramp.wav", "other.wav"];
    let output = diarize_in(directory.path(), &arguments);
    assert_eq!(stderr(&output), "");
    assert_eq!(names(&directory.path().join("out")), ["other", "ramp"]);
    assert_eq!(names(&directory.path().join("out/ramp")), ["Ann.wav", "Bob.wav"]);
}

#[test]
fn options_for_diarizing_have_no_meaning_for_a_result() {
    let directory = ramp();
    let output = split(directory.path(), &["--min-duration-on", "3", "ramp.wav"]);
    assert_eq!(output.status.code(), Some(2));
    let told = "--min-duration-on has no meaning with --segments";
    assert!(String::from_utf8_lossy(&output.stderr).contains(told));
}
