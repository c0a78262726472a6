//! Invalid and unusual files are decoded as far as possible, or give an error that says what to do.

use std::{fs, path::Path};

use crate::inputs::{case, fixture};
use diarize_audio::{Error, Recording, Settings, Warning, read};
use diarize_testkit::wav::{self, write_f32};
use tempfile::tempdir;

fn read_bytes(bytes: &[u8]) -> Result<Recording, Error> {
    crate::inputs::read_bytes(bytes, &Settings::default())
}

fn read_damaged(bytes: &[u8]) -> Result<Recording, Error> {
    crate::inputs::read_bytes(bytes, &Settings::default().with_keep_damaged(true))
}

#[test]
fn missing_directory_and_empty_files() {
    assert!(matches!(read(Path::new("/no/such/file.wav"), &Settings::default()), Err(Error::Missing)));
    assert!(matches!(read(tempdir().unwrap().path(), &Settings::default()), Err(Error::Directory)));
    assert!(matches!(read_bytes(b""), Err(Error::Empty)));
}

#[test]
fn files_that_are_not_audio() {
    for bytes in [b"minutes of the meeting\n".repeat(100), vec![0; 5_000], b"\x89PNG\r\n\x1a\n".repeat(9)] {
        assert!(matches!(read_bytes(&bytes), Err(Error::UnknownFormat)));
    }
}

#[test]
fn invalid_headers() {
    assert!(matches!(read_bytes(&wav::bytes(16_000, 1, 0, &[])), Err(Error::NoSamples)));
    assert!(matches!(read_bytes(&wav::bytes(16_000, 0, 8, &[1; 8])), Err(Error::Header(_))));
    for rate in [0, 1, 999, 768_001, u32::MAX] {
        let result = read_bytes(&wav::bytes(rate, 1, 8, &[1; 8]));
        assert!(
            matches!(result, Err(Error::SampleRate { rate: found }) if found == rate),
            "{rate}: {result:?}"
        );
    }
    assert!(matches!(read_bytes(&wav::bytes(16_000, 1, 8, &[])[..30]), Err(Error::Header(_))));
}

#[test]
fn a_single_sample_is_decoded() {
    let audio = read_bytes(&wav::bytes(16_000, 1, 2, &[0, 64])).unwrap();
    assert_eq!(audio.samples, [0.5]);
}

#[test]
fn a_truncated_wav_is_decoded_to_its_end() {
    let audio = read_bytes(&wav::bytes(16_000, 1, 64_000, &[0; 24_001])).unwrap();
    assert_eq!(audio.samples.len(), 12_000);
    assert!(matches!(audio.warnings[..], [Warning::CutShort { seconds: 0.75, .. }]), "{:?}", audio.warnings);
}

#[test]
fn a_wav_of_unknown_length_gives_no_warning() {
    let audio = read_bytes(&wav::bytes(16_000, 1, u32::MAX, &[0; 24_000])).unwrap();
    assert_eq!(audio.samples.len(), 12_000);
    assert_eq!(audio.warnings, []);
}

#[test]
fn truncated_compressed_files_are_decoded_to_their_end() {
    for name in ["tone.flac", "tone.mp3", "tone.aiff"] {
        let bytes = fs::read(fixture(name)).unwrap();
        let audio = read_bytes(&bytes[..bytes.len() * 7 / 10]).unwrap();
        assert!((0.4..0.8).contains(&audio.duration), "{name}: {} s", audio.duration);
        assert!(
            matches!(audio.warnings[..], [Warning::CutShort { .. } | Warning::Lost { .. }]),
            "{name}: {:?}",
            audio.warnings
        );
    }
}

#[test]
fn downloads_that_break_off_give_what_is_there() {
    for name in ["faststart.m4a", "tone.aac"] {
        let bytes = fs::read(case(name)).unwrap();
        let audio = read_bytes(&bytes[..bytes.len() * 9 / 10]).unwrap();
        assert!((0.7..1.0).contains(&audio.duration), "{name}: {} s", audio.duration);
        assert!(matches!(audio.warnings[..], [Warning::CutShort { .. }]), "{name}: {:?}", audio.warnings);
    }
}

#[test]
fn corrupt_packets_become_silence_of_the_same_length() {
    let mut bytes = fs::read(fixture("tone.m4a")).unwrap();
    let whole = read_bytes(&bytes).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 300].fill(0xff);
    let audio = read_damaged(&bytes).unwrap();
    assert_eq!(audio.samples.len(), whole.samples.len());
    assert!(
        matches!(audio.warnings[..], [Warning::CorruptPackets { corrupt: 1..=4, packets: 45, .. }]),
        "{:?}",
        audio.warnings
    );
}

#[test]
fn frames_skipped_by_the_reader_become_silence_of_the_same_length() {
    let mut bytes = fs::read(fixture("tone.flac")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 300].fill(0x55);
    let error = read_bytes(&bytes).unwrap_err();
    assert!(matches!(error, Error::Damaged { seconds: 1.0, .. }), "{error}");
    let audio = read_damaged(&bytes).unwrap();
    assert_eq!(audio.samples.len(), 16_000);
    assert!(matches!(audio.warnings[..], [Warning::Gaps { count: 1, .. }]), "{:?}", audio.warnings);
}

#[test]
fn a_file_with_only_corrupt_packets_is_an_error() {
    let mut bytes = fs::read(fixture("tone.m4a")).unwrap();
    let audio_begin = bytes.windows(4).position(|window| window == b"mdat").unwrap() + 4;
    let audio_end = bytes.windows(4).position(|window| window == b"moov").unwrap() - 4;
    bytes[audio_begin..audio_end].fill(0);
    let result = read_bytes(&bytes);
    assert!(matches!(result, Err(Error::AllPacketsCorrupt { packets: 45, .. })), "{result:?}");
}

#[test]
fn an_mp3_without_a_header_is_decoded_to_its_end() {
    let bytes = fs::read(fixture("tone.mp3")).unwrap();
    let sync = bytes[..2].to_vec();
    let second_frame = 2 + bytes[2..].windows(2).position(|window| window == sync).unwrap();
    let audio = read_bytes(&bytes[second_frame..]).unwrap();
    assert!(audio.duration >= 1.0, "{} s", audio.duration);
    assert_eq!(audio.warnings, []);
}

#[test]
fn non_finite_samples_are_reported_with_their_time() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("nan.wav");
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut samples = vec![0.25; 44_100];
        samples[22_050] = value;
        write_f32(&path, 44_100, 1, &samples);
        let error = read(&path, &Settings::default()).unwrap_err().to_string();
        assert_eq!(error, format!("the sample at 0.500 s is {value}: replace such samples first"));
    }
}
