//! Containers and codecs that are rare, and those that are not read.

use std::fs;

use diarize_audio::{Error, Settings, Warning, read};

use crate::inputs::{assert_tones, case, fixture, read_bytes};
use diarize_testkit::wav::{self};

fn assert_second(name: &str) {
    let recording = read(&case(name), &Settings::default()).unwrap();
    assert_eq!(recording.warnings, [], "{name}");
    assert!((recording.duration - 1.0).abs() < 0.001, "{name} lasts {} s", recording.duration);
    assert_tones(&recording.samples, 0.0, name);
}

#[test]
fn relatives_of_wav_are_read() {
    for name in ["rf64.wav", "rifx.wav", "tone.w64", "tone.au"] {
        assert_second(name);
    }
    let mut bw64 = fs::read(case("rf64.wav")).unwrap();
    bw64[..4].copy_from_slice(b"BW64");
    let expected = read(&case("rf64.wav"), &Settings::default()).unwrap();
    assert!(read_bytes(&bw64, &Settings::default()).unwrap() == expected);
}

#[test]
fn telephone_codecs_are_read_in_video_containers() {
    for name in ["mulaw.mov", "alaw.mov", "alaw.mkv"] {
        assert_second(name);
    }
}

#[test]
fn mp3_in_wav_is_read() {
    let recording = read(&case("mp3.wav"), &Settings::default()).unwrap();
    assert_eq!(recording.warnings, []);
    assert!((1.0..1.15).contains(&recording.duration), "{}", recording.duration);
    assert_tones(&recording.samples, 0.05, "mp3.wav");
}

#[test]
fn the_core_of_he_aac_is_read_with_a_warning() {
    let recording = read(&case("he-aac.m4a"), &Settings::default()).unwrap();
    assert_eq!(recording.warnings, [Warning::CoreOnly { hertz: 11_025 }]);
    assert!((recording.duration - 30.0).abs() < 0.05, "{}", recording.duration);
}

#[test]
fn a_wav_whose_length_was_never_written_is_read_to_its_end() {
    let samples: Vec<u8> = (0..8_000).flat_map(|i: i16| i.to_le_bytes()).collect();
    for length in [0, u32::MAX] {
        let recording = read_bytes(&wav::bytes(16_000, 1, length, &samples), &Settings::default()).unwrap();
        assert_eq!((recording.samples.len(), recording.warnings.len()), (8_000, 0));
        assert_eq!(recording.samples[7_999], 7_999.0 / 32_768.0);
    }
    let mut other = wav::bytes(16_000, 1, 0, &samples);
    other[4..8].fill(0);
    assert_eq!(read_bytes(&other, &Settings::default()).unwrap().samples.len(), 8_000);
}

#[test]
fn placeholders_for_unknown_lengths_are_no_loss() {
    let samples: Vec<u8> = (0..8_000).flat_map(|i: i16| i.to_le_bytes()).collect();
    for length in [0x7fff_f000, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0] {
        let bytes = wav::bytes(16_000, 1, length, &samples);
        let recording = read_bytes(&bytes, &Settings::default()).unwrap();
        assert_eq!((recording.samples.len(), recording.warnings.len()), (8_000, 0), "{length:#x}");
    }
}

#[test]
fn a_length_of_zero_before_samples_is_not_believed() {
    let samples: Vec<u8> = (1..8_000).flat_map(|i: i16| i.to_le_bytes()).collect();
    let mut bytes = wav::bytes(16_000, 1, 0, &samples);
    let outer = bytes.len() as u32 - 8;
    bytes[4..8].copy_from_slice(&outer.to_le_bytes());
    assert_eq!(read_bytes(&bytes, &Settings::default()).unwrap().samples.len(), 7_999);
}

#[test]
fn frames_that_contradict_the_sample_size_are_refused() {
    let mut bytes = wav::bytes(16_000, 1, 4_000, &[1; 4_000]);
    bytes[32..34].copy_from_slice(&4u16.to_le_bytes());
    let error = read_bytes(&bytes, &Settings::default()).unwrap_err();
    assert!(error.to_string().contains("PCM of 16 bits in frames of 4 bytes instead of 2"), "{error}");
}

#[test]
fn what_follows_the_audio_is_reported() {
    let samples = vec![1; 32_000];
    let one = wav::bytes(16_000, 1, 32_000, &samples);
    let joined = [&one[..], &vec![0; 300_000]].concat();
    let recording = read_bytes(&joined, &Settings::default()).unwrap();
    assert_eq!(recording.samples.len(), 16_000);
    assert!(
        matches!(recording.warnings[..], [Warning::Unread { bytes: 200_000..=300_000 }]),
        "{:?}",
        recording.warnings
    );
}

#[test]
fn a_missing_index_is_called_that() {
    let bytes = fs::read(fixture("tone.m4a")).unwrap();
    let error = read_bytes(&bytes[..bytes.len() / 2], &Settings::default()).unwrap_err();
    assert!(matches!(error, Error::NoIndex), "{error}");
}

#[test]
fn a_wav_without_samples_has_none() {
    let mut bytes = wav::bytes(16_000, 1, 0, b"LIST\x04\0\0\0INFO");
    bytes[4..8].copy_from_slice(&48u32.to_le_bytes());
    assert!(matches!(read_bytes(&bytes, &Settings::default()), Err(Error::NoSamples)));
}

#[test]
fn containers_that_are_not_read_are_named() {
    let cases = [
        ("tone.ts", "MPEG transport stream"),
        ("tone.avi", "AVI"),
        ("tone.mpg", "MPEG program stream"),
        ("tone.wma", "ASF"),
        ("tone.flv", "Flash video"),
    ];
    for (name, container) in cases {
        let error = read(&case(name), &Settings::default()).unwrap_err();
        assert!(matches!(error, Error::Container(found) if found.starts_with(container)), "{name}: {error}");
        assert!(error.to_string().contains("ffmpeg -i"), "{error}");
    }
}

#[test]
fn codecs_that_are_not_read_are_named() {
    for (name, codec) in
        [("gsm.wav", "GSM"), ("speex.ogg", "Speex"), ("ac3.mp4", "AC-3"), ("ac3.mkv", "AC-3")]
    {
        let error = read(&case(name), &Settings::default()).unwrap_err();
        assert!(matches!(&error, Error::Codec(found) if found.contains(codec)), "{name}: {error}");
    }
}

#[test]
fn a_stream_found_in_something_else_is_no_format() {
    let mp3 = fs::read(fixture("tone.mp3")).unwrap();
    let text = b"minutes of the meeting\n".repeat(4_000);
    assert!(matches!(
        read_bytes(&[&text[..], &mp3].concat(), &Settings::default()),
        Err(Error::UnknownFormat)
    ));
    // What is left of a frame, and zeros, may stand before a stream.
    let cut = read_bytes(&mp3[300..], &Settings::default()).unwrap();
    assert!((0.9..1.1).contains(&cut.duration), "{}", cut.duration);
    let padded = read_bytes(&[&vec![0; 3_000][..], &mp3].concat(), &Settings::default()).unwrap();
    assert!((padded.duration - 1.0).abs() < 0.001, "{}", padded.duration);
}
