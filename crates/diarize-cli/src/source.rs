//! The audio of an input, in blocks, as often as it is needed.

use std::{io, path::PathBuf, sync::mpsc::sync_channel, thread};

use anyhow::Context;
use diarize_audio::{Audio, Channels, Settings};
use tempfile::NamedTempFile;
use tracing::warn;

use crate::input::Input;

/// Blocks that are decoded before they are taken.
const AHEAD: usize = 64;

/// The audio of an input.
#[derive(Debug)]
pub struct Source {
    /// `None` for the standard input, which can be read once.
    path: Option<PathBuf>,
    settings: Settings,
    /// What the standard input was copied to.
    _copy: Option<NamedTempFile>,
}

impl Source {
    /// The audio of `input`. If it is needed `again`, the standard input is copied to a temporary file.
    pub fn new(input: &Input, channels: Channels, again: bool) -> anyhow::Result<Self> {
        let settings = Settings::default().with_channels(channels);
        let copy = match input {
            Input::Stdin if again => Some(copy_of_stdin().context("cannot copy it to a temporary file")?),
            _ => None,
        };
        let path = input.path().or(copy.as_ref().map(NamedTempFile::path)).map(PathBuf::from);
        Ok(Self { path, settings, _copy: copy })
    }

    /// Length of the samples in seconds, by decoding all of them. What is wrong with the audio goes to the
    /// log.
    pub fn duration(&self, input: &Input) -> anyhow::Result<f64> {
        let decoded = self.read(|_| Ok(()))?;
        decoded.warn(input);
        Ok(decoded.duration)
    }

    /// Begins to read.
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

/// What is known of audio that was read to its end.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Its length in seconds.
    pub duration: f64,
    /// What was wrong with it.
    pub warnings: Vec<String>,
}

impl Decoded {
    /// Reads `audio` to its end and hands each block to `take`, while the next ones are decoded on another
    /// thread.
    pub fn all(mut audio: Audio, mut take: impl FnMut(&[f32]) -> anyhow::Result<()>) -> anyhow::Result<Self> {
        let audio = thread::scope(|scope| {
            let (sender, blocks) = sync_channel(AHEAD);
            let decoder = scope.spawn(move || {
                for block in &mut audio {
                    let failed = block.is_err();
                    if sender.send(block).is_err() || failed {
                        break;
                    }
                }
                audio
            });
            for block in blocks {
                take(&block?)?;
            }
            decoder.join().map_err(|_| anyhow::anyhow!("the decoder failed: please report this file"))
        })?;
        let warnings = audio.warnings().iter().map(ToString::to_string).collect();
        Ok(Self { duration: audio.duration(), warnings })
    }

    /// Logs what was wrong with the audio of `input`.
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
