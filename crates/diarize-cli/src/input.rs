//! What is read: a file or the standard input.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use diarize_audio::{Channels, Error, Recording, Settings};
use tracing::warn;

use crate::progress::{Console, FileProgress};

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file.
    File(PathBuf),
    /// The standard input.
    Stdin,
}

impl Input {
    /// The standard input for `-`, otherwise a file.
    pub fn named(path: PathBuf) -> Self {
        if path.as_os_str() == "-" { Input::Stdin } else { Input::File(path) }
    }

    /// Its path, where it is a file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Input::File(path) => Some(path),
            Input::Stdin => None,
        }
    }

    /// Its audio.
    pub fn read(&self, channels: Channels) -> Result<Recording, Error> {
        let settings = Settings::default().with_channels(channels);
        match self {
            Input::File(path) => diarize_audio::read(path, &settings),
            Input::Stdin => diarize_audio::read_stdin(&settings),
        }
    }

    /// Its audio, and a bar for what follows. What is wrong with the audio goes to the log.
    pub fn read_with_bar(
        &self,
        channel: Option<usize>,
        console: &Console,
    ) -> Result<(Recording, FileProgress), Error> {
        let progress = console.file(&self.to_string());
        let audio = self.read(channel.map_or(Channels::Mean, Channels::Only))?;
        for warning in &audio.warnings {
            warn!("{self}: {warning}");
        }
        Ok((audio, progress))
    }

    /// What the recording is called: the file's name without extension, or `stdin`. Bytes that are
    /// not UTF-8 are replaced.
    pub fn stem(&self) -> String {
        match self {
            Input::File(path) => path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            Input::Stdin => "stdin".to_owned(),
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::File(path) => path.display().fmt(f),
            Input::Stdin => f.write_str("standard input"),
        }
    }
}
