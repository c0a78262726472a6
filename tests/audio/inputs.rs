//! Inputs of the tests.

use std::{
    f64::consts::TAU,
    fs,
    path::{Path, PathBuf},
};

use diarize_audio::{Error, Recording, Settings, read};
use tempfile::NamedTempFile;

/// A file of `tests/data/formats`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/formats").join(name)
}

/// A file of `tests/data/cases`.
pub(crate) fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/cases").join(name)
}

/// What a recording with these bytes gives.
pub(crate) fn read_bytes(bytes: &[u8], settings: &Settings) -> Result<Recording, Error> {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    read(file.path(), settings)
}

/// Checks that a second of 440 Hz and 1000 Hz begins at `begin` seconds, and nothing lies beside them.
pub(crate) fn assert_tones(samples: &[f32], begin: f64, name: &str) {
    let begin = (begin * 16_000.0) as usize;
    let inner = &samples[begin + 2_000..begin + 14_000];
    for frequency in [440.0, 1_000.0] {
        let found = amplitude(inner, frequency);
        assert!((0.16..0.26).contains(&found), "{name}: {frequency} Hz has amplitude {found}");
    }
    let elsewhere = amplitude(inner, 2_500.0);
    assert!(elsewhere < 0.01, "{name}: 2500 Hz has amplitude {elsewhere}");
}

/// Where a sound begins, in seconds: the first millisecond that is louder than a tenth of the loudest.
pub(crate) fn onset(samples: &[f32]) -> f64 {
    let level = |block: &[f32]| block.iter().fold(0.0, |level: f32, sample| level.max(sample.abs()));
    let loudest = level(samples);
    let block = samples.chunks(16).position(|block| level(block) > 0.1 * loudest).unwrap();
    block as f64 / 1_000.0
}

/// `seconds` of a sine of amplitude 1.
pub(crate) fn sine(frequency: f64, rate: u32, seconds: f64) -> Vec<f32> {
    let count = (seconds * f64::from(rate)).round() as usize;
    (0..count).map(|i| (TAU * frequency * i as f64 / f64::from(rate)).sin() as f32).collect()
}

/// The amplitude of one frequency in a signal at 16 kHz.
pub(crate) fn amplitude(samples: &[f32], frequency: f64) -> f64 {
    let step = TAU * frequency / 16_000.0;
    let (mut re, mut im) = (0.0, 0.0);
    for (i, &sample) in samples.iter().enumerate() {
        re += f64::from(sample) * (step * i as f64).cos();
        im += f64::from(sample) * (step * i as f64).sin();
    }
    2.0 * re.hypot(im) / samples.len() as f64
}

/// Writes a 16 bit WAV of interleaved samples.
pub(crate) fn write_i16(path: &Path, rate: u32, channels: u16, samples: &[i16]) {
    let spec = hound::WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    samples.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
}

/// Writes a floating point WAV of interleaved samples.
pub(crate) fn write_f32(path: &Path, rate: u32, channels: u16, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels,
        sample_rate: rate,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    samples.iter().for_each(|&sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
}

/// A 16 bit WAV with a header of one's own choosing.
pub(crate) fn wav_bytes(rate: u32, channels: u16, data_length: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(b"RIFF");
    bytes.extend(data_length.saturating_add(36).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0");
    bytes.extend(channels.to_le_bytes());
    bytes.extend(rate.to_le_bytes());
    bytes.extend(rate.wrapping_mul(2 * u32::from(channels)).to_le_bytes());
    bytes.extend((2 * channels).to_le_bytes());
    bytes.extend(b"\x10\0data");
    bytes.extend(data_length.to_le_bytes());
    bytes.extend(data);
    bytes
}
