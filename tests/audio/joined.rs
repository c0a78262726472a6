//! Files that were joined, and streams whose layout changes.

use std::fs;

use diarize_audio::{Settings, Warning};

use crate::inputs::{assert_tones, case, fixture, read_bytes};

fn join(parts: &[&std::path::Path]) -> Vec<u8> {
    parts.iter().flat_map(|part| fs::read(part).unwrap()).collect()
}

fn assert_joined(parts: &[&std::path::Path], most: f64) {
    let recording = read_bytes(&join(parts), &Settings::default()).unwrap();
    assert_eq!(recording.warnings, [], "{parts:?}");
    let count = parts.len() as f64;
    assert!((count..count + most).contains(&recording.duration), "{parts:?} last {} s", recording.duration);
    let begin = recording.duration - 1.0;
    assert_tones(&recording.samples, 0.0, "the first part");
    assert_tones(&recording.samples, begin - 0.02, "the last part");
}

/// As in ffmpeg, delay and padding of later parts stay.
#[test]
fn joined_mp3s_are_heard_to_their_end() {
    let mp3 = fixture("tone.mp3");
    assert_joined(&[&mp3, &mp3], 0.15);
    assert_joined(&[&mp3, &mp3, &mp3], 0.3);
}

#[test]
fn joined_mp3s_of_other_layouts_are_heard() {
    assert_joined(&[&fixture("tone.mp3"), &case("stereo.mp3"), &fixture("tone.mp3")], 0.3);
}

#[test]
fn joined_adts_of_other_layouts_is_heard() {
    assert_joined(&[&case("tone.aac"), &case("stereo.aac"), &case("tone.aac")], 0.4);
}

#[test]
fn chained_ogg_of_other_layouts_is_heard() {
    assert_joined(&[&fixture("tone.ogg"), &case("stereo.ogg"), &fixture("tone.ogg")], 0.001);
    assert_joined(&[&fixture("tone.opus"), &case("surround.opus"), &fixture("tone.opus")], 0.001);
}

#[test]
fn tags_between_parts_are_no_audio() {
    let mp3 = fs::read(fixture("tone.mp3")).unwrap();
    let picture = [b"ID3\x03\0\0\0\0\x20\0".to_vec(), vec![0xff; 4_096]].concat();
    let last = [b"TAG".to_vec(), vec![b' '; 125]].concat();
    let bytes = [&picture[..], &mp3, &last, &picture, &mp3, &last].concat();
    let plain = read_bytes(&[&mp3[..], &mp3].concat(), &Settings::default()).unwrap();
    let recording = read_bytes(&bytes, &Settings::default()).unwrap();
    assert_eq!(recording.warnings, []);
    assert!(recording.samples == plain.samples);
}

#[test]
fn lost_frames_keep_the_time_of_the_rest() {
    let mut bytes = fs::read(case("stereo.mp3")).unwrap();
    let whole = read_bytes(&bytes, &Settings::default()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 400].fill(0);
    let recording = read_bytes(&bytes, &Settings::default().with_keep_damaged(true)).unwrap();
    assert_eq!(recording.samples.len(), whole.samples.len());
    assert!(
        matches!(recording.warnings[..], [Warning::Gaps { .. } | Warning::CorruptPackets { .. }, ..]),
        "{:?}",
        recording.warnings
    );
}
