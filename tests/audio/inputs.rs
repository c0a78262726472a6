//! Inputs of the tests.

use std::{
    f64::consts::TAU,
    path::{Path, PathBuf},
};

/// A file of `tests/data/formats`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/formats").join(name)
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
