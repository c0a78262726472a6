//! Which transcript belongs to which recording.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::Transcript;
use crate::input::Input;

/// Extensions of transcripts; of several of one recording, the first is taken, which may know words.
const EXTENSIONS: [&str; 3] = ["json", "srt", "vtt"];

/// The transcript of one recording, or a directory of them.
#[derive(Clone, Debug)]
pub enum Transcripts {
    /// That of the only recording.
    One(Box<Transcript>),
    /// A directory in which each transcript has its recording's name.
    Directory(PathBuf),
}

impl Transcripts {
    /// Reads a file; a directory is looked into for each recording.
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
    /// None in the directory; otherwise as [`Transcript::read`].
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

/// The file that a transcript of a recording would be read from: `talk.json` or, as whisper.cpp calls it,
/// `talk.wav.json`.
pub fn in_directory(directory: &Path, input: &Input) -> Option<PathBuf> {
    let name = input.path().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let names = [Some(input.stem()), name];
    let file = |extension: &&str| {
        let mut files = names.iter().flatten().map(|name| directory.join(format!("{name}.{extension}")));
        files.find(|file| file.is_file())
    };
    EXTENSIONS.iter().find_map(file)
}
