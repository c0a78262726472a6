//! Times are those of the recording's clock: start offsets, encoder delay, edit lists.

use diarize_audio::{Audio, Clock, Settings, read};

use crate::inputs::{assert_tones, case, onset};

fn assert_clock(name: &str, begin: f64, duration: f64) {
    let recording = read(&case(name), &Settings::default()).unwrap();
    assert_eq!(recording.warnings, [], "{name}");
    assert!((recording.duration - duration).abs() < 0.002, "{name} lasts {} s", recording.duration);
    let found = onset(&recording.samples);
    assert!((found - begin).abs() < 0.012, "{name} begins at {found} s");
    assert_tones(&recording.samples, begin, name);
}

#[test]
fn encoder_delay_of_aac_is_trimmed() {
    assert_clock("primed.m4a", 0.0, 1.0);
}

#[test]
fn audio_that_starts_after_the_picture_keeps_its_time() {
    assert_clock("late.mp4", 0.5, 1.5);
    assert_clock("late.mkv", 0.5, 1.508);
}

#[test]
fn the_audio_clock_starts_with_the_audio() {
    let settings = Settings::default().with_clock(Clock::Audio);
    for name in ["late.mp4", "late.mkv"] {
        let mut audio = Audio::open(&case(name), &settings).unwrap();
        let samples: Vec<f32> = audio.by_ref().flat_map(Result::unwrap).collect();
        // ffmpeg's MP4 counts the encoder's delay as audio.
        assert!(onset(&samples) < 0.07, "{name}");
        assert_eq!(audio.start_offset(), 0.0);
        let mut audio = Audio::open(&case(name), &Settings::default()).unwrap();
        audio.next().unwrap().unwrap();
        assert!((audio.start_offset() - 0.5).abs() < 0.07, "{name}: {}", audio.start_offset());
    }
}

#[test]
fn adts_has_no_length_and_nothing_is_missing() {
    let recording = read(&case("tone.aac"), &Settings::default()).unwrap();
    assert_eq!(recording.warnings, []);
    assert!((recording.duration - 17.0 * 1024.0 / 16_000.0).abs() < 1e-9, "{}", recording.duration);
}

#[test]
fn opus_is_trimmed_in_every_container() {
    assert_clock("tone.webm", 0.0, 1.014);
    assert_clock("opus.mkv", 0.0, 1.014);
    assert_clock("opus.mp4", 0.0, 1.0);
}
