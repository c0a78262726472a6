//! Recordings whose turns are known, and the pipeline that is measured on them.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use diarize::{Device, Diarizer, Options, Turn};

use crate::recording::{read_wav, with_truth};

/// What the commands that measure the pipeline take.
#[derive(Args, Debug)]
pub struct Labelled {
    /// Folders of WAV and RTTM files
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Model directory
    #[arg(long, default_value = "weights/default")]
    model: PathBuf,
    /// auto, cpu, metal or cuda[:N]
    #[arg(long, default_value = "auto")]
    device: Device,
    /// Processor threads; all where absent
    #[arg(long)]
    threads: Option<usize>,
}

/// A recording whose turns are known.
#[derive(Debug)]
pub struct Recording {
    /// The WAV file.
    pub wav: PathBuf,
    /// 16 kHz, one channel.
    pub samples: Vec<f32>,
    /// The turns.
    pub truth: Vec<Turn>,
}

impl Labelled {
    /// The pipeline, with the model's own options on the number of threads that is asked for.
    ///
    /// # Errors
    /// Where the model cannot be read or there is no such device.
    pub fn diarizer(&self) -> Result<(Diarizer, Options)> {
        let diarizer = Diarizer::load(&self.model, self.device)?;
        let options = Options { threads: self.threads, ..diarizer.options() };
        Ok((diarizer, options))
    }

    /// The recordings, by name, each read when it comes.
    ///
    /// # Errors
    /// Where a folder or an RTTM file cannot be read, or there is no recording.
    pub fn recordings(&self) -> Result<impl Iterator<Item = Result<Recording>>> {
        Ok(with_truth(&self.folders)?.into_iter().map(|(wav, truth)| {
            let samples = read_wav(&wav).with_context(|| format!("cannot read {}", wav.display()))?;
            Ok(Recording { wav, samples, truth })
        }))
    }
}
