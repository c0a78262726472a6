//! Recordings for the commands that measure.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use diarize::{SAMPLE_RATE, Turn, turns::parse_rttm};
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

/// The recordings in folders with their turns, by name: every WAV file of which an RTTM file beside it knows.
///
/// # Errors
/// Where a folder or an RTTM file cannot be read, or there is no recording.
pub fn with_truth(folders: &[PathBuf]) -> Result<Vec<(PathBuf, Vec<Turn>)>> {
    let mut recordings = Vec::new();
    for folder in folders {
        let read = || format!("cannot read {}", folder.display());
        for rttm in files(folder, "rttm").with_context(read)? {
            let text = fs::read_to_string(&rttm).with_context(read)?;
            for (name, turns) in parse_rttm(&text).with_context(|| format!("in {}", rttm.display()))? {
                let wav = folder.join(name + ".wav");
                if wav.exists() {
                    recordings.push((wav, turns));
                }
            }
        }
    }
    ensure!(!recordings.is_empty(), "no WAV file with an RTTM file that knows it");
    recordings.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(recordings)
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    Ok(files)
}
