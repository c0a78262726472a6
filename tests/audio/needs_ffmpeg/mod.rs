//! Codecs and containers against ffmpeg's decoding: the same samples at the same time.

use std::{path::Path, process::Command};

use diarize_audio::{Settings, Tracks, Warning, read};
use tempfile::tempdir;

use diarize_testkit::wav::write_i16;

/// Samples by which times may differ: a millisecond.
const MOST_LAG: usize = 16;

fn ffmpeg(arguments: &[&str]) {
    let output = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What ffmpeg decodes, at the file's own rate, mixed and resampled here: only decoding is compared.
fn by_ffmpeg(path: &Path, options: &[&str]) -> Vec<f32> {
    let directory = tempdir().unwrap();
    let wav = directory.path().join("reference.wav");
    let names = ["-i", path.to_str().unwrap(), "-c:a", "pcm_f32le", wav.to_str().unwrap()];
    ffmpeg(&[options, &names].concat());
    read(&wav, &Settings::default()).unwrap().samples
}

/// Bursts of low-pass noise, which look different at every shift.
fn bursts(rate: u32, channels: u16) -> Vec<i16> {
    let (mut seed, mut low) = (1_u32, 0.0);
    let frames = 4 * rate;
    (0..frames)
        .flat_map(|frame| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            low += 0.2 * (f64::from(seed as i32) / f64::from(i32::MAX) - low);
            let is_loud = !(frame / (rate / 5)).is_multiple_of(3);
            let sample = (if is_loud { 20_000.0 * low } else { 0.0 }) as i16;
            std::iter::repeat_n(sample, channels.into())
        })
        .collect()
}

/// The difference at a shift of `lag` samples, as a share of the energy.
fn difference(ours: &[f32], theirs: &[f32], lag: isize) -> f64 {
    let energy = |samples: &mut dyn Iterator<Item = f32>| samples.map(|s| f64::from(s).powi(2)).sum::<f64>();
    let common = ours.len().min(theirs.len()) - 400;
    let theirs = &theirs[200..common];
    let ours = &ours[200usize.checked_add_signed(lag).unwrap()..];
    let off = energy(&mut ours.iter().zip(theirs).map(|(a, b)| a - b));
    off / energy(&mut theirs.iter().copied())
}

/// `decoder` chooses another decoder of ffmpeg than its own.
fn assert_as_ffmpeg(path: &Path, decoder: &[&str], most: f64) {
    let name = path.file_name().unwrap().to_string_lossy();
    let ours = read(path, &Settings::default()).unwrap();
    assert_eq!(ours.warnings, [], "{name}");
    let theirs = by_ffmpeg(path, decoder);
    let lags = -40..=40;
    let lag = lags
        .min_by(|a, b| {
            difference(&ours.samples, &theirs, *a).total_cmp(&difference(&ours.samples, &theirs, *b))
        })
        .unwrap();
    let off = difference(&ours.samples, &theirs, lag);
    assert!(lag.unsigned_abs() <= MOST_LAG, "{name}: {lag} samples late");
    assert!(off < most, "{name}: {off} of the energy differs");
    let longer = ours.samples.len().abs_diff(theirs.len());
    assert!(longer <= 1_600, "{name}: {} samples, ffmpeg has {}", ours.samples.len(), theirs.len());
}

/// Encodes bursts of a rate and number of channels.
fn assert_encoded(rate: u32, channels: u16, options: &[&str], name: &str, most: f64) {
    let directory = tempdir().unwrap();
    let (wav, path) = (directory.path().join("in.wav"), directory.path().join(name));
    write_i16(&wav, rate, channels, &bursts(rate, channels));
    ffmpeg(&[&["-i", wav.to_str().unwrap()], options, &[path.to_str().unwrap()]].concat());
    let decoder: &[&str] = if options.contains(&"libopus") { &["-c:a", "libopus"] } else { &[] };
    assert_as_ffmpeg(&path, decoder, most);
}

#[test]
#[ignore = "needs ffmpeg with libopus"]
fn opus_is_what_ffmpeg_decodes() {
    for (rate, channels, bits, application, frame) in [
        (16_000, 1, "12k", "voip", "20"),
        (16_000, 1, "24k", "voip", "60"),
        (48_000, 1, "32k", "audio", "20"),
        (48_000, 2, "64k", "audio", "10"),
        (48_000, 2, "128k", "lowdelay", "2.5"),
        (8_000, 1, "8k", "voip", "40"),
    ] {
        let options =
            ["-c:a", "libopus", "-b:a", bits, "-application", application, "-frame_duration", frame];
        for name in ["a.opus", "a.webm", "a.mkv"] {
            assert_encoded(rate, channels, &options, name, 1e-6);
        }
        // At other rates ffmpeg 5 trims too little of MP4: it takes the edit list's unit for 1/48000 s.
        if rate == 48_000 {
            assert_encoded(rate, channels, &options, "a.mp4", 1e-6);
        }
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn aac_and_mp3_are_what_ffmpeg_decodes() {
    for (rate, channels) in [(8_000, 1), (16_000, 1), (44_100, 2), (48_000, 1)] {
        assert_encoded(rate, channels, &["-c:a", "aac"], "a.m4a", 1e-6);
        assert_encoded(rate, channels, &["-c:a", "aac", "-movflags", "faststart"], "a.mp4", 1e-6);
        assert_encoded(rate, channels, &["-c:a", "aac"], "a.aac", 1e-6);
        assert_encoded(rate, channels, &["-c:a", "libmp3lame"], "a.mp3", 1e-6);
        assert_encoded(rate, channels, &["-c:a", "libmp3lame"], "a.wav", 1e-6);
        assert_encoded(rate, channels, &["-c:a", "libvorbis"], "a.ogg", 1e-6);
        assert_encoded(rate, channels, &["-c:a", "libvorbis"], "a.webm", 1e-6);
    }
}

#[test]
#[ignore = "needs ffmpeg"]
fn samples_are_what_ffmpeg_reads() {
    for (codec, name) in [
        ("pcm_s16le", "a.w64"),
        ("pcm_s16be", "a.au"),
        ("pcm_f32be", "a.au"),
        ("pcm_mulaw", "a.au"),
        ("pcm_alaw", "a.mov"),
        ("pcm_mulaw", "a.mov"),
        ("pcm_s16be", "a.mov"),
        ("pcm_s16le", "a.mov"),
        ("pcm_s24be", "a.mov"),
        ("pcm_s24le", "a.mov"),
        ("pcm_s32be", "a.mov"),
        ("pcm_s32le", "a.mov"),
        ("pcm_f32be", "a.mov"),
        ("pcm_f32le", "a.mov"),
        ("pcm_f64be", "a.mov"),
        ("pcm_mulaw", "a.mkv"),
        ("pcm_s24le", "a.wav"),
        ("pcm_f64le", "a.wav"),
        ("adpcm_ms", "a.wav"),
        ("flac", "a.flac"),
        ("flac", "a.ogg"),
        ("alac", "a.m4a"),
        ("alac", "a.caf"),
    ] {
        assert_encoded(44_100, 2, &["-c:a", codec], name, 1e-9);
    }
    assert_encoded(48_000, 1, &["-rf64", "always"], "a.wav", 1e-9);
}

#[test]
#[ignore = "needs ffmpeg"]
fn uncompressed_tracks_of_quicktime_can_be_selected() {
    let directory = tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    write_i16(&path("a.wav"), 16_000, 1, &bursts(16_000, 1));
    write_i16(&path("b.wav"), 8_000, 2, &bursts(8_000, 2)[20_000..]);
    let [a, b, mov, other] =
        ["a.wav", "b.wav", "two.mov", "other.wav"].map(|name| path(name).to_str().unwrap().to_owned());
    ffmpeg(&["-i", &a, "-i", &b, "-map", "0", "-map", "1", "-c:a", "pcm_mulaw", &mov]);
    ffmpeg(&["-i", &mov, "-map", "0:a:1", "-c:a", "pcm_f32le", &other]);
    let second = Settings::default().with_tracks(Tracks::Only(1));
    let (ours, theirs) =
        (read(&path("two.mov"), &second).unwrap(), read(&path("other.wav"), &Settings::default()));
    assert_eq!(ours.samples, theirs.unwrap().samples);
    let first = read(&path("two.mov"), &Settings::default()).unwrap();
    assert_eq!(first.warnings, [Warning::SeveralTracks { count: 2, used: 0 }]);
    assert_eq!(first.samples.len(), 64_000);
}
