//! Channels that cancel each other, and samples far beyond full scale.

use diarize_audio::{Channels, Error, Recording, Settings, Warning, read};
use tempfile::tempdir;

use diarize_testkit::{
    signal::{amplitude, sine},
    wav::write_f32,
};

fn read_f32(channels: u16, samples: &[f32], settings: &Settings) -> Result<Recording, Error> {
    let directory = tempdir().unwrap();
    let path = directory.path().join("file.wav");
    write_f32(&path, 16_000, channels, samples);
    read(&path, settings)
}

fn stereo(pairs: impl Iterator<Item = [f32; 2]>) -> Vec<f32> {
    pairs.flatten().collect()
}

#[test]
fn of_channels_that_cancel_one_is_used() {
    let tone = sine(440.0, 16_000, 2.0);
    let samples = stereo(tone.iter().map(|sample| [0.5 * sample, -0.45 * sample]));
    let recording = read_f32(2, &samples, &Settings::default()).unwrap();
    assert!((amplitude(&recording.samples, 440.0) - 0.5).abs() < 1e-3);
    assert_eq!(recording.warnings, [Warning::ChannelsCancel { channel: 0, start: 0.0, seconds: 2.0 }]);
    let right = read_f32(2, &samples, &Settings::default().with_channels(Channels::Only(1))).unwrap();
    assert_eq!(right.warnings, []);
}

#[test]
fn the_mean_is_used_where_channels_do_not_cancel() {
    let (low, high) = (sine(440.0, 16_000, 1.0), sine(1_000.0, 16_000, 1.0));
    let one_speaker_each = stereo(low.iter().map(|l| [*l, 0.0]).chain(high.iter().map(|h| [0.0, *h])));
    let two = stereo(low.iter().zip(&high).map(|(l, h)| [*l, *h]));
    for samples in [one_speaker_each, two] {
        let recording = read_f32(2, &samples, &Settings::default()).unwrap();
        let mean: Vec<f32> = samples.chunks(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
        assert!(recording.samples == mean);
        assert_eq!(recording.warnings, []);
    }
}

#[test]
fn only_the_part_that_cancels_is_taken_from_one_channel() {
    let tone = sine(440.0, 16_000, 2.0);
    let pairs = tone.iter().enumerate().map(|(i, s)| [0.5 * s, if i < 16_000 { 0.3 * s } else { -0.5 * s }]);
    let recording = read_f32(2, &stereo(pairs), &Settings::default()).unwrap();
    assert!((amplitude(&recording.samples[..16_000], 440.0) - 0.4).abs() < 1e-3);
    assert!((amplitude(&recording.samples[16_000..], 440.0) - 0.5).abs() < 1e-3);
    assert_eq!(recording.warnings, [Warning::ChannelsCancel { channel: 0, start: 1.0, seconds: 1.0 }]);
}

#[test]
fn single_samples_far_beyond_full_scale_are_clipped() {
    let mut samples = sine(440.0, 16_000, 1.0);
    let whole = samples.clone();
    samples[8_000] = 1e20;
    samples[12_000] = -4e37;
    let recording = read_f32(1, &samples, &Settings::default()).unwrap();
    assert_eq!(recording.warnings, [Warning::Spikes { count: 2, highest: 4e37, first: 0.5 }]);
    assert_eq!((recording.samples[8_000], recording.samples[12_000]), (1.0, -1.0));
    assert_eq!(recording.samples[..8_000], whole[..8_000]);
}

#[test]
fn another_scale_is_told_and_nonsense_refused() {
    let tone = sine(440.0, 16_000, 1.0);
    let integers: Vec<f32> = tone.iter().map(|sample| sample * 32_767.0).collect();
    let recording = read_f32(1, &integers, &Settings::default()).unwrap();
    assert!(recording.samples == integers);
    assert!(matches!(recording.warnings[..], [Warning::BeyondFullScale { highest: 32_760.0..32_768.0 }]));
    let nonsense: Vec<f32> = tone.iter().map(|sample| sample * 4e37).collect();
    let result = read_f32(1, &nonsense, &Settings::default());
    assert!(matches!(result, Err(Error::BeyondFullScale { seconds: 0.0, .. })), "{result:?}");
}
