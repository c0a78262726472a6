//! Recordings for the commands that measure.

use std::path::Path;

use anyhow::{Result, ensure};
use diarize::SAMPLE_RATE;
use hound::SampleFormat;

/// The samples of a WAV file: 16 kHz, one channel, 16-bit integers or 32-bit floats.
///
/// # Errors
/// Where it cannot be read, or is something else.
pub fn read_wav(path: &Path) -> Result<Vec<f32>> {
    let reader = hound::WavReader::open(path)?;
    let spec = reader.spec();
    let known = matches!(
        (spec.sample_format, spec.bits_per_sample),
        (SampleFormat::Int, 16) | (SampleFormat::Float, 32)
    );
    ensure!(
        known && (spec.sample_rate, spec.channels) == (SAMPLE_RATE, 1),
        "it must be 16 kHz, one channel, 16-bit integers or 32-bit floats, but is {spec:?}"
    );
    Ok(match spec.sample_format {
        SampleFormat::Float => reader.into_samples().collect::<Result<_, _>>()?,
        SampleFormat::Int => reader
            .into_samples::<i16>()
            .map(|sample| Ok(f32::from(sample?) / 32768.0))
            .collect::<Result<_>>()?,
    })
}
