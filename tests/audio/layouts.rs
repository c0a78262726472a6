//! Blocks with the file's own channels or sample rate.

use std::path::Path;

use diarize_audio::{Audio, Channels, Converter, Error, Rate, Recording, Settings, Tracks, read};
use diarize_testkit::{
    repository,
    signal::{amplitude, sine},
    wav::{write_f32, write_i16},
};
use tempfile::tempdir;

fn original() -> Settings {
    Settings::default().with_channels(Channels::Each).with_rate(Rate::Own)
}

fn channel(recording: &Recording, index: usize) -> Vec<f32> {
    recording.samples.iter().skip(index).step_by(recording.layout.channels).copied().collect()
}

#[test]
fn a_file_is_read_sample_by_sample_at_its_own_rate() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("stereo.wav");
    let samples: Vec<i16> = (0..44_100i32).flat_map(|index| [index as i16, (3 * index) as i16]).collect();
    write_i16(&path, 22_050, 2, &samples);
    let recording = read(&path, &original()).unwrap();
    let (rate, channels, is_fine) =
        (recording.layout.rate, recording.layout.channels, recording.layout.has_fine_samples);
    assert_eq!((rate, channels, is_fine), (22_050, 2, false));
    assert_eq!(recording.seconds(), 2.0);
    let exact: Vec<f32> = samples.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
    assert!(recording.samples == exact);
    let part = read(&path, &original().with_range(0.5..1.25)).unwrap();
    assert!(part.samples == exact[22_050..][..2 * 16_538], "{} samples", part.samples.len());
}

#[test]
fn each_channel_is_resampled_as_if_it_were_alone() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("stereo.wav");
    let (low, high) = (sine(440.0, 44_100, 1.5), sine(1_000.0, 44_100, 1.5));
    let samples: Vec<f32> = low.iter().zip(&high).flat_map(|(low, high)| [*low, 0.5 * high]).collect();
    write_f32(&path, 44_100, 2, &samples);
    let each = read(&path, &Settings::default().with_channels(Channels::Each)).unwrap();
    assert_eq!((each.layout.rate, each.layout.channels, each.samples.len()), (16_000, 2, 2 * 24_000));
    for index in 0..2 {
        let alone = read(&path, &Settings::default().with_channels(Channels::Only(index))).unwrap();
        assert!(channel(&each, index) == alone.samples, "channel {index}");
    }
    assert!((amplitude(&channel(&each, 1), 1_000.0) - 0.5).abs() < 1e-3);
}

#[test]
fn the_layout_is_known_before_the_blocks_and_loses_none() {
    for (name, channels) in [
        ("formats/tone.flac", 1),
        ("formats/tone.mp3", 1),
        ("formats/tone.m4a", 2),
        ("formats/tone.opus", 1),
        ("cases/stereo.aac", 2),
        ("cases/stereo.ogg", 2),
    ] {
        let path = repository("tests/data").join(name);
        let whole = read(&path, &original()).unwrap();
        let mut audio = Audio::open(&path, &original()).unwrap();
        assert_eq!(audio.layout().unwrap(), whole.layout, "{name}");
        assert_eq!(audio.layout().unwrap().channels, channels, "{name}");
        assert!(audio.read_all().unwrap().samples == whole.samples, "{name}");
    }
}

#[test]
fn samples_with_more_than_16_bits_are_told_apart() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("float.wav");
    write_f32(&path, 8_000, 1, &[0.1; 8_000]);
    let is_fine = |path: &Path| read(path, &original()).unwrap().layout.has_fine_samples;
    assert!(is_fine(&path));
    for name in ["formats/tone.mp3", "formats/tone.caf", "formats/tone.flac", "cases/rf64.wav"] {
        assert!(!is_fine(&repository("tests/data").join(name)), "{name}");
    }
}

#[test]
fn a_change_of_the_layout_is_an_error_at_its_time() {
    let path = repository("tests/data/cases/stereo.mp3");
    let mut bytes = std::fs::read(repository("tests/data/formats/tone.mp3")).unwrap();
    bytes.extend(std::fs::read(&path).unwrap());
    let directory = tempdir().unwrap();
    let joined = directory.path().join("joined.mp3");
    std::fs::write(&joined, bytes).unwrap();
    let first = read(&repository("tests/data/formats/tone.mp3"), &original()).unwrap();
    let second = read(&path, &original()).unwrap();
    assert_ne!((first.layout.rate, first.layout.channels), (second.layout.rate, second.layout.channels));
    match read(&joined, &original()) {
        Err(Error::LayoutChanges { seconds }) => {
            assert!((seconds - first.seconds()).abs() < 0.1, "{seconds}")
        }
        other => panic!("{other:?}"),
    }
    assert!(read(&joined, &Settings::default()).is_ok());
}

#[test]
fn tracks_of_one_layout_can_be_averaged() {
    let path = repository("tests/data/formats/tone.mkv");
    let main = read(&path, &original()).unwrap();
    assert!(read(&path, &original().with_tracks(Tracks::Mean)).unwrap().samples == main.samples);
}

#[test]
fn decoded_samples_give_what_their_file_gives() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("stereo.wav");
    for rate in [16_000, 22_050, 48_000] {
        let planes = [sine(440.0, rate, 1.3), sine(1_000.0, rate, 1.3)];
        let samples: Vec<f32> = planes[0].iter().zip(&planes[1]).flat_map(|(a, b)| [*a, 0.5 * b]).collect();
        write_f32(&path, rate, 2, &samples);
        let planes = [planes[0].clone(), planes[1].iter().map(|sample| 0.5 * sample).collect()];
        for channels in [Channels::Mean, Channels::Only(1), Channels::Each] {
            let settings = Settings::default().with_channels(channels);
            let mut converter = Converter::new(rate, &settings).unwrap();
            let mut output = Vec::new();
            for start in (0..planes[0].len()).step_by(777) {
                let end = (start + 777).min(planes[0].len());
                converter
                    .push(planes.iter().map(|plane| plane[start..end].to_vec()).collect(), &mut output)
                    .unwrap();
            }
            let file = read(&path, &settings).unwrap();
            assert_eq!(converter.seconds(), file.duration, "{rate} Hz");
            assert_eq!(converter.finish(&mut output).unwrap(), file.warnings);
            assert!(output == file.samples, "{rate} Hz, {channels:?}");
        }
    }
}

#[test]
fn decoded_samples_that_cannot_be_used_are_refused() {
    let mono = Settings::default();
    assert!(matches!(Converter::new(0, &mono), Err(Error::SampleRate { rate: 0 })));
    let nothing = Converter::new(16_000, &mono).unwrap().finish(&mut Vec::new());
    assert!(matches!(nothing, Err(Error::NoSamples)));
    let mut converter = Converter::new(16_000, &mono).unwrap();
    let wrong = converter.push(vec![vec![f32::NAN; 16_000]], &mut Vec::new());
    assert!(matches!(wrong, Err(Error::NonFinite { .. })));
    let mut second = Converter::new(16_000, &mono.with_channels(Channels::Only(1))).unwrap();
    let missing = second.push(vec![vec![0.0; 16]], &mut Vec::new());
    assert!(matches!(missing, Err(Error::Channel { asked: 1, count: 1 })));
}
