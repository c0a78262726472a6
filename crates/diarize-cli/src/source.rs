//! The audio of an input, in blocks. It can be read more than once.

use std::{io, path::PathBuf, sync::mpsc::sync_channel, thread};

use anyhow::Context;
use diarize_audio::{Audio, Channels, Settings};
use tempfile::NamedTempFile;
use tracing::warn;

use crate::input::Input;

/// Minimum number of samples that the decoder hands over at once: a second. Blocks of some formats are much shorter.
const BLOCK: usize = 16_000;
/// Number of blocks that are decoded ahead, so that a GPU does not wait for the decoder.
const AHEAD: usize = 256;

/// The audio of an input.
#[derive(Debug)]
pub struct Source {
    /// `None` for the standard input, which can be read only once.
    path: Option<PathBuf>,
    settings: Settings,
    /// The copy of the standard input, deleted on drop.
    _copy: Option<NamedTempFile>,
}

impl Source {
    /// The audio of `input`. With `again`, the standard input is copied to a temporary file so that it can be
    /// read more than once.
    pub fn new(input: &Input, channels: Channels, again: bool) -> anyhow::Result<Self> {
        let settings = Settings::default().with_channels(channels);
        let copy = match input {
            Input::Stdin if again => {
                Some(copy_of_stdin().context("cannot copy the audio to a temporary file")?)
            }
            _ => None,
        };
        let path = input.path().or(copy.as_ref().map(NamedTempFile::path)).map(PathBuf::from);
        Ok(Self { path, settings, _copy: copy })
    }

    /// Length of the audio in seconds, measured by decoding all of it. Problems with the audio are logged.
    pub fn duration(&self, input: &Input) -> anyhow::Result<f64> {
        let decoded = self.read(|_| Ok(()))?;
        decoded.warn(input);
        Ok(decoded.duration)
    }

    /// Starts to read.
    pub fn open(&self) -> Result<Audio, diarize_audio::Error> {
        match &self.path {
            Some(path) => Audio::open(path, &self.settings),
            None => Audio::stdin(&self.settings),
        }
    }

    /// Reads all of it and hands each block to `take`.
    pub fn read(&self, take: impl FnMut(&[f32]) -> anyhow::Result<()>) -> anyhow::Result<Decoded> {
        Decoded::all(self.open()?, take)
    }
}

/// What is known about audio after reading all of it.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Its length in seconds.
    pub duration: f64,
    /// Problems with it.
    pub warnings: Vec<String>,
}

impl Decoded {
    /// Reads `audio` to its end and hands each block to `take`. Another thread decodes the next blocks
    /// meanwhile.
    pub fn all(mut audio: Audio, mut take: impl FnMut(&[f32]) -> anyhow::Result<()>) -> anyhow::Result<Self> {
        let audio = thread::scope(|scope| {
            let (sender, blocks) = sync_channel(AHEAD);
            let decoder = scope.spawn(move || {
                let mut block = Vec::new();
                for samples in &mut audio {
                    match samples {
                        Ok(samples) => block.extend_from_slice(&samples),
                        Err(error) => {
                            let _ = sender.send(Ok(block)).and_then(|()| sender.send(Err(error)));
                            return audio;
                        }
                    }
                    if block.len() >= BLOCK && sender.send(Ok(std::mem::take(&mut block))).is_err() {
                        return audio;
                    }
                }
                let _ = sender.send(Ok(block));
                audio
            });
            for block in blocks {
                take(&block?)?;
            }
            decoder.join().map_err(|_| anyhow::anyhow!("the decoder crashed: please report this file"))
        })?;
        let warnings = audio.warnings().iter().map(ToString::to_string).collect();
        Ok(Self { duration: audio.duration(), warnings })
    }

    /// Logs the problems with the audio of `input`.
    pub fn warn(&self, input: &Input) {
        for warning in &self.warnings {
            warn!("{input}: {warning}");
        }
    }
}

fn copy_of_stdin() -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    io::copy(&mut io::stdin().lock(), &mut file)?;
    Ok(file)
}
