//! Labeled recordings and the pipeline under test.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use diarize::{Device, Diarizer, Options, Turn};

use crate::recording::{read_wav, with_truth};

/// Arguments of the commands that measure the pipeline.
#[derive(Args, Debug)]
pub struct Labeled {
    /// Folders with WAV and RTTM files
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Model directory
    #[arg(long, default_value = "weights/default")]
    model: PathBuf,
    /// auto, cpu, metal, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    device: Device,
    /// Number of CPU threads [default: all]
    #[arg(long)]
    threads: Option<usize>,
}

/// A recording with its true turns.
#[derive(Debug)]
pub struct Recording {
    /// The WAV file.
    pub wav: PathBuf,
    /// Samples at 16 kHz, mono.
    pub samples: Vec<f32>,
    /// The true turns.
    pub truth: Vec<Turn>,
}

impl Labeled {
    /// Loads the pipeline. The options are the model's, with the requested number of threads.
    ///
    /// # Errors
    /// The model cannot be read, or the device does not exist.
    pub fn diarizer(&self) -> Result<(Diarizer, Options)> {
        let diarizer = Diarizer::load(&self.model, self.device)?;
        let mut options = diarizer.options();
        options.threads = self.threads;
        Ok((diarizer, options))
    }

    /// The recordings, sorted by path and read lazily.
    ///
    /// # Errors
    /// A folder or an RTTM file cannot be read, or there is no recording.
    pub fn recordings(&self) -> Result<impl Iterator<Item = Result<Recording>>> {
        Ok(with_truth(&self.folders)?.into_iter().map(|(wav, truth)| {
            let samples = read_wav(&wav).with_context(|| format!("cannot read {}", wav.display()))?;
            Ok(Recording { wav, samples, truth })
        }))
    }
}
