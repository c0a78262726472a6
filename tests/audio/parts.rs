//! Parts and tracks of a recording.

use diarize_audio::{Audio, Error, Settings, Tracks, Warning, read};
use diarize_testkit::signal::amplitude;

use crate::inputs::{case, fixture};

fn with_range(start: f64, end: f64) -> Settings {
    Settings::default().with_range(start..end)
}

#[test]
fn a_part_has_the_samples_of_the_whole() {
    for name in ["tone.flac", "tone.mp3", "tone.m4a"] {
        let whole = read(&fixture(name), &Settings::default()).unwrap();
        for (start, end) in [(0.25, 0.5), (0.0, 0.123_4), (0.9, 7.0), (0.0, 1.0), (0.333_3, f64::INFINITY)] {
            let part = read(&fixture(name), &with_range(start, end)).unwrap();
            let sample = |seconds: f64| ((seconds * 16_000.0).round() as usize).min(whole.samples.len());
            assert!(part.samples == whole.samples[sample(start)..sample(end)], "{name}: {start} to {end} s");
            assert!((part.duration - whole.duration.min(end)).abs() < 1e-9, "{name}: {}", part.duration);
            assert_eq!(part.warnings, [], "{name}: what follows the part is not missing");
        }
    }
}

#[test]
fn a_part_after_the_end_is_an_error() {
    let error = read(&fixture("tone.flac"), &with_range(1.0, 2.0)).unwrap_err();
    assert!(matches!(error, Error::StartsAfterEnd { start: 1.0, duration: 1.0 }), "{error}");
    let mut audio = Audio::open(&fixture("tone.flac"), &with_range(3.0, 4.0)).unwrap();
    assert!(audio.next().is_some_and(|block| block.is_err()));
    assert!(audio.next().is_none());
}

#[test]
fn the_declared_duration_is_that_of_the_part() {
    let declared = |start, end| {
        Audio::open(&fixture("tone.flac"), &with_range(start, end)).unwrap().declared_duration().unwrap()
    };
    assert!((declared(0.25, 0.75) - 0.5).abs() < 1e-9);
    assert!((declared(0.25, 7.0) - 0.75).abs() < 1e-9);
    assert_eq!(declared(2.0, 7.0), 0.0);
}

/// The amplitudes of the tones of both tracks, 0.1 to 0.4 s.
fn tones(name: &str, tracks: Tracks) -> (f64, f64, Vec<Warning>) {
    let recording = read(&case(name), &Settings::default().with_tracks(tracks)).unwrap();
    let samples = &recording.samples[1_600..6_400];
    (amplitude(samples, 440.0), amplitude(samples, 1_000.0), recording.warnings)
}

#[test]
fn one_of_several_tracks_is_used_with_a_warning() {
    for name in ["two-tracks.mka", "two-tracks.mp4"] {
        let (first, second, warnings) = tones(name, Tracks::Main);
        assert!(first > 0.1 && second < 0.01, "{name}: {first}, {second}");
        assert_eq!(warnings, [Warning::SeveralTracks { count: 2, used: 0 }], "{name}");
    }
}

#[test]
fn tracks_can_be_selected() {
    for name in ["two-tracks.mka", "two-tracks.mp4"] {
        for (track, louder) in [(0, 0), (1, 1)] {
            let (first, second, warnings) = tones(name, Tracks::Only(track));
            let amplitudes = [first, second];
            assert!(amplitudes[louder] > 0.1 && amplitudes[1 - louder] < 0.01, "{name}: {amplitudes:?}");
            assert_eq!(warnings, [], "{name}");
        }
        let error = Audio::open(&case(name), &Settings::default().with_tracks(Tracks::Only(2))).err();
        assert!(matches!(error, Some(Error::Track { asked: 2, count: 2 })), "{name}");
    }
    let error = Audio::open(&fixture("tone.flac"), &Settings::default().with_tracks(Tracks::Only(1))).err();
    assert!(matches!(error, Some(Error::Track { asked: 1, count: 1 })));
}

#[test]
fn the_mean_of_all_tracks_is_as_long_as_the_longest() {
    for name in ["two-tracks.mka", "two-tracks.mp4"] {
        let (first, second, warnings) = tones(name, Tracks::Mean);
        let (alone, _, _) = tones(name, Tracks::Only(0));
        assert!((first - alone / 2.0).abs() < 0.005, "{name}: {first}, alone {alone}");
        assert!((second - first).abs() < 0.02, "{name}: {first}, {second}");
        assert_eq!(warnings, [], "{name}");
        let whole = read(&case(name), &Settings::default().with_tracks(Tracks::Mean)).unwrap();
        assert!((whole.duration - 1.0).abs() < 0.03, "{name}: {}", whole.duration);
        let late = amplitude(&whole.samples[12_000..15_000], 440.0);
        assert!((late - alone / 2.0).abs() < 0.005, "{name}: {late} after the end of a track");
    }
}
