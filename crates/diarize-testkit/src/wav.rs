//! WAV files: the recordings of the golden tests, and small ones that tests write.

use std::path::Path;

use hound::{Sample, SampleFormat, WavReader, WavSpec, WavWriter};

use crate::repository;

/// Reads a recording in `tests/goldens/audio`.
///
/// # Panics
/// If it does not exist.
pub fn golden(name: &str) -> Vec<f32> {
    read(&repository("tests/goldens/audio").join(name).with_extension("wav"))
}

/// Reads the samples of a 16-bit mono WAV file.
///
/// # Panics
/// If it cannot be read.
pub fn read(path: &Path) -> Vec<f32> {
    let fail = |error| -> ! { panic!("{}: {error}", path.display()) };
    let samples = WavReader::open(path).unwrap_or_else(|error| fail(error)).into_samples::<i16>();
    samples.map(|sample| f32::from(sample.unwrap_or_else(|error| fail(error))) / 32768.0).collect()
}

/// Writes a 16-bit WAV file of interleaved samples.
///
/// # Panics
/// If it cannot be written.
pub fn write_i16(path: &Path, rate: u32, channels: u16, samples: &[i16]) {
    write(path, rate, channels, 16, SampleFormat::Int, samples);
}

/// Writes a floating-point WAV file of interleaved samples.
///
/// # Panics
/// If it cannot be written.
pub fn write_f32(path: &Path, rate: u32, channels: u16, samples: &[f32]) {
    write(path, rate, channels, 32, SampleFormat::Float, samples);
}

/// Writes a WAV file with one second of silence at 16 kHz.
///
/// # Panics
/// If it cannot be written.
pub fn write_silence(path: &Path) {
    write_i16(path, 16_000, 1, &[0; 16_000]);
}

fn write<T: Sample + Copy>(
    path: &Path,
    sample_rate: u32,
    channels: u16,
    bits_per_sample: u16,
    sample_format: SampleFormat,
    samples: &[T],
) {
    let fail = |error| -> ! { panic!("{}: {error}", path.display()) };
    let spec = WavSpec { channels, sample_rate, bits_per_sample, sample_format };
    let mut writer = WavWriter::create(path, spec).unwrap_or_else(|error| fail(error));
    for &sample in samples {
        writer.write_sample(sample).unwrap_or_else(|error| fail(error));
    }
    writer.finalize().unwrap_or_else(|error| fail(error));
}

/// The bytes of a 16-bit WAV file whose header states `data_length` bytes of data, whatever `data` contains.
pub fn bytes(rate: u32, channels: u16, data_length: u32, data: &[u8]) -> Vec<u8> {
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
