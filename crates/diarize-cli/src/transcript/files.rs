//! Finds the transcript of a recording.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::Transcript;
use crate::input::Input;

/// Extensions of transcripts, in order of preference: JSON may have the times of words.
const EXTENSIONS: [&str; 3] = ["json", "srt", "vtt"];

/// The transcript of one recording, or a directory of them.
#[derive(Clone, Debug)]
pub enum Transcripts {
    /// The transcript of the only recording.
    One(Box<Transcript>),
    /// A directory in which each transcript has its recording's name.
    Directory(PathBuf),
}

impl Transcripts {
    /// Reads a file. A directory is searched later, for each recording.
    ///
    /// # Errors
    /// As [`Transcript::read`].
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(match path.is_dir() {
            true => Transcripts::Directory(path.to_owned()),
            false => Transcripts::One(Box::new(Transcript::read(path)?)),
        })
    }

    /// The transcript of a recording.
    ///
    /// # Errors
    /// If the directory has none; otherwise as [`Transcript::read`].
    pub fn of(&self, input: &Input) -> anyhow::Result<Cow<'_, Transcript>> {
        match self {
            Transcripts::One(transcript) => Ok(Cow::Borrowed(transcript)),
            Transcripts::Directory(directory) => {
                let file = in_directory(directory, input);
                let file = file.with_context(|| {
                    format!("{} has no transcript {}.json, .srt or .vtt", directory.display(), input.stem())
                })?;
                Ok(Cow::Owned(Transcript::read(&file)?))
            }
        }
    }
}

/// The transcript file of a recording in a directory, if there is one: `talk.json` or, as whisper.cpp names
/// it, `talk.wav.json`.
pub fn in_directory(directory: &Path, input: &Input) -> Option<PathBuf> {
    let name = input.path().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let names = [Some(input.stem()), name];
    let file = |extension: &&str| {
        let mut files = names.iter().flatten().map(|name| directory.join(format!("{name}.{extension}")));
        files.find(|file| file.is_file())
    };
    EXTENSIONS.iter().find_map(file)
}
