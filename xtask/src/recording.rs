//! Reads recordings for the commands that measure the pipeline.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use diarize::{SAMPLE_RATE, Turn, parse_rttm};
use hound::SampleFormat;

/// Reads the samples of a WAV file: 16 kHz, mono, 16-bit integers or 32-bit floats.
///
/// # Errors
/// The file cannot be read or has another format.
pub fn read_wav(path: &Path) -> Result<Vec<f32>> {
    let reader = hound::WavReader::open(path)?;
    let spec = reader.spec();
    let known = matches!(
        (spec.sample_format, spec.bits_per_sample),
        (SampleFormat::Int, 16) | (SampleFormat::Float, 32)
    );
    ensure!(
        known && (spec.sample_rate, spec.channels) == (SAMPLE_RATE, 1),
        "the file must be 16 kHz, mono, with 16-bit integers or 32-bit floats, but is {spec:?}"
    );
    Ok(match spec.sample_format {
        SampleFormat::Float => reader.into_samples().collect::<Result<_, _>>()?,
        SampleFormat::Int => reader
            .into_samples::<i16>()
            .map(|sample| Ok(f32::from(sample?) / 32768.0))
            .collect::<Result<_>>()?,
    })
}

/// Finds the labeled recordings in folders: every WAV file that is named in an RTTM file in the same folder. Returns
/// their paths, sorted, and their turns.
///
/// # Errors
/// A folder or an RTTM file cannot be read, or there is no recording.
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
    ensure!(!recordings.is_empty(), "no WAV file is named in an RTTM file in its folder");
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
