//! Labeled recordings and the pipeline under test.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use diarize::{Device, Diarizer, Options, SAMPLE_RATE, Turn};

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
    /// Cut each recording into pieces of this many seconds, each one a recording of its own
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pieces: Option<u32>,
}

/// A recording, or a piece of one, with its true turns.
#[derive(Debug)]
pub struct Recording {
    /// The file's name without its extension, with the piece's start if it is a piece.
    pub name: String,
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

    /// The recordings or their pieces, sorted by path and read lazily.
    ///
    /// # Errors
    /// A folder or an RTTM file cannot be read, or there is no recording.
    pub fn recordings(&self) -> Result<impl Iterator<Item = Result<Recording>>> {
        Ok(with_truth(&self.folders)?.into_iter().flat_map(|(wav, truth)| match self.read(&wav, truth) {
            Ok(recordings) => recordings.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        }))
    }

    /// A file as one recording, or as its pieces. Drops pieces in which nobody speaks, and a last piece that is too
    /// short.
    fn read(&self, wav: &Path, truth: Vec<Turn>) -> Result<Vec<Recording>> {
        let samples = read_wav(wav).with_context(|| format!("cannot read {}", wav.display()))?;
        let name = wav.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Some(seconds) = self.pieces else {
            return Ok(vec![Recording { name, samples, truth }]);
        };
        let pieces = samples.chunks_exact(seconds as usize * SAMPLE_RATE as usize).enumerate();
        let recordings = pieces.map(|(number, samples)| {
            let start = number as u32 * seconds;
            Recording {
                name: format!("{name} at {start} s"),
                samples: samples.to_vec(),
                truth: within(&truth, f64::from(start), f64::from(start + seconds)),
            }
        });
        Ok(recordings.filter(|recording| !recording.truth.is_empty()).collect())
    }
}

/// The parts of the turns between two times, relative to the first time (seconds).
fn within(turns: &[Turn], start: f64, end: f64) -> Vec<Turn> {
    let inside = turns.iter().filter(|turn| turn.end > start && turn.start < end);
    inside
        .map(|turn| Turn {
            start: turn.start.max(start) - start,
            end: turn.end.min(end) - start,
            ..turn.clone()
        })
        .collect()
}
