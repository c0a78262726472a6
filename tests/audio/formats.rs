//! Every supported format decodes to the same second of two tones.

use crate::inputs::{assert_tones, fixture};
use diarize_audio::{Channels, Settings, read};
use diarize_testkit::{
    signal::{amplitude, sine},
    wav::{write_f32, write_i16},
};
use tempfile::tempdir;

fn only(channel: usize) -> Settings {
    Settings::default().with_channels(Channels::Only(channel))
}

/// Reads a fixture and checks that it is one second of 440 Hz and 1000 Hz, plus `extra` seconds of codec
/// padding.
fn assert_two_tones(name: &str, extra: f64) {
    let audio = read(&fixture(name), &Settings::default()).unwrap();
    assert!((audio.duration - 1.0 - extra).abs() < 0.001, "{name} lasts {} s", audio.duration);
    assert_eq!(audio.samples.len(), (audio.duration * 16_000.0).ceil() as usize, "{name}");
    assert_eq!(audio.warnings, [], "{name}");
    assert_tones(&audio.samples, 0.0, name);
}

#[test]
fn lossless_formats_keep_their_length() {
    for name in ["tone.flac", "tone.aiff", "tone.caf"] {
        assert_two_tones(name, 0.0);
    }
}

#[test]
fn padding_of_mp3_and_vorbis_is_trimmed() {
    assert_two_tones("tone.mp3", 0.0);
    assert_two_tones("tone.ogg", 0.0);
}

#[test]
fn padding_of_aac_is_cut_off_by_its_edit_list() {
    assert_two_tones("tone.m4a", 0.0);
}

#[test]
fn opus_in_ogg_is_trimmed_to_the_sample() {
    assert_two_tones("tone.opus", 0.0);
}

#[test]
fn sixteen_bits_are_read_exactly() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("all.wav");
    let values: Vec<i16> = (i16::MIN..=i16::MAX).collect();
    write_i16(&path, 16_000, 1, &values);
    let audio = read(&path, &Settings::default()).unwrap();
    let expected: Vec<f32> = values.iter().map(|&value| f32::from(value) / 32_768.0).collect();
    assert_eq!(audio.samples, expected);
}

#[test]
fn channels_are_averaged_or_one_is_selected() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("three.wav");
    write_f32(&path, 16_000, 3, &[0.1, 0.2, 0.6, -0.3, 0.7, 0.2]);
    let mean = [(0.1f32 + 0.2 + 0.6) / 3.0, (-0.3f32 + 0.7 + 0.2) / 3.0];
    assert_eq!(read(&path, &Settings::default()).unwrap().samples, mean);
    assert_eq!(read(&path, &only(1)).unwrap().samples, [0.2, 0.7]);
    let error = read(&path, &only(3)).unwrap_err().to_string();
    assert_eq!(error, "has no channel 3 (channels: 3, counted from 0)");
}

#[test]
fn surround_at_96_khz() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("surround.wav");
    let tone = sine(1_000.0, 96_000, 0.5);
    let frames: Vec<f32> = tone.iter().flat_map(|&sample| [sample, 0.0, sample, 0.0, sample, 0.0]).collect();
    write_f32(&path, 96_000, 6, &frames);
    let audio = read(&path, &Settings::default()).unwrap();
    assert_eq!((audio.samples.len(), audio.duration), (8_000, 0.5));
    let found = amplitude(&audio.samples[1_600..6_400], 1_000.0);
    assert!((found - 0.5).abs() < 1e-3, "{found}");
}
