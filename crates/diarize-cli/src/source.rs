//! The audio of an input, in blocks. It can be read more than once.

#[cfg(unix)]
use std::os::unix::fs::MetadataExt;
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context;
use diarize_audio::{Audio, Channels, Decoding, Rate, Settings, Warning};
use tracing::warn;

use crate::{input::Input, interrupt::Temporary};

/// Target of log events about missing audio, which are shown even with `--quiet`.
pub const LOSS: &str = "diarize_cli::loss";

/// The audio of an input.
#[derive(Debug)]
pub struct Source {
    /// `None` for the standard input.
    path: Option<PathBuf>,
    /// The file at that path, unless it is a pipe.
    version: Option<Version>,
    settings: Settings,
    /// The copy of a pipe, deleted on drop.
    _copy: Option<Temporary>,
}

impl Source {
    /// The audio of `input`. With `again`, the standard input or a named pipe is copied to a temporary file so that it
    /// can be read more than once.
    pub fn new(input: &Input, settings: Settings, again: bool) -> anyhow::Result<Self> {
        let copy = match input.path() {
            None if again => Some(copy(io::stdin().lock())),
            Some(path) if again && is_pipe(path) => Some(File::open(path).and_then(copy)),
            _ => None,
        };
        let copy = copy.transpose().context("cannot copy the audio to a temporary file")?;
        let path = copy.as_ref().map(Temporary::path).or(input.path()).map(PathBuf::from);
        let version = path.as_deref().filter(|path| path.is_file()).and_then(Version::of);
        Ok(Self { path, version, settings, _copy: copy })
    }

    /// Length of the audio in seconds, measured by decoding all of it. Problems with the audio are logged.
    pub fn duration(&self, input: &Input) -> anyhow::Result<f64> {
        let decoded = self.read(|_| Ok(()))?;
        decoded.warn(input);
        Ok(decoded.duration)
    }

    /// Starts to read.
    pub fn open(&self) -> Result<Audio, diarize_audio::Error> {
        self.open_with(&self.settings)
    }

    /// Starts to read each channel by itself.
    pub fn open_channels(&self) -> Result<Audio, diarize_audio::Error> {
        self.open_with(&self.settings.clone().with_channels(Channels::Each))
    }

    /// Starts to read at the file's own sample rate, with all its channels or the one that the settings ask for.
    pub fn open_original(&self) -> Result<Audio, diarize_audio::Error> {
        let channels = match self.settings.channels {
            Channels::Mean => Channels::Each,
            only => only,
        };
        self.open_with(&self.settings.clone().with_channels(channels).with_rate(Rate::Own))
    }

    fn open_with(&self, settings: &Settings) -> Result<Audio, diarize_audio::Error> {
        match &self.path {
            Some(path) => {
                self.check_version(path)?;
                Audio::open(path, settings)
            }
            None => Audio::stdin(settings),
        }
    }

    /// Checks that the file is still the one that was there at first: otherwise, its words would get the speakers of another
    /// recording. Files to which a recorder still appends are the same.
    fn check_version(&self, path: &Path) -> Result<(), diarize_audio::Error> {
        let (Some(first), Some(now)) = (self.version, Version::of(path)) else { return Ok(()) };
        match now == first || now.appends_to(first) {
            true => Ok(()),
            false => Err(io::Error::other("it was replaced while it was processed; run this again").into()),
        }
    }

    /// Start of the part that is read, in seconds of the recording.
    pub fn start(&self) -> f64 {
        self.settings.range.start
    }

    /// End of the part that is read, in seconds of the recording; it may be beyond the recording's end.
    pub fn end(&self) -> f64 {
        self.settings.range.end
    }

    /// Reads all of it and hands each block to `take`.
    pub fn read(&self, take: impl FnMut(&[f32]) -> anyhow::Result<()>) -> anyhow::Result<Decoded> {
        Decoded::all(self.open()?, take)
    }

    /// Reads the whole recording, even if the settings ask for a part, and hands each block to `take`.
    pub fn read_whole(&self, take: impl FnMut(&[f32]) -> anyhow::Result<()>) -> anyhow::Result<Decoded> {
        let settings = self.settings.clone().with_range(0.0..f64::INFINITY);
        Decoded::all(self.open_with(&settings)?, take)
    }
}

/// What a file had at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Version {
    /// Device and inode, where files have them.
    file: Option<(u64, u64)>,
    length: u64,
    changed: Option<SystemTime>,
}

impl Version {
    fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let file = Some((data.dev(), data.ino()));
        #[cfg(not(unix))]
        let file = None;
        Some(Self { file, length: data.len(), changed: data.modified().ok() })
    }

    fn appends_to(self, before: Self) -> bool {
        self.file == before.file && self.length > before.length
    }
}

/// What is known about audio after reading all of it.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Its length in seconds. If only a part was read, the end of the part.
    pub duration: f64,
    /// Seconds of silence before the audio, because it starts later than the recording.
    pub start_offset: f64,
    /// Warnings about missing audio, which are shown even with `--quiet`.
    pub losses: Vec<String>,
    /// Other warnings about it.
    pub warnings: Vec<String>,
}

impl Decoded {
    /// Reads `audio` to its end and hands each block to `take`. Another thread decodes the next blocks
    /// meanwhile.
    pub fn all(audio: Audio, take: impl FnMut(&[f32]) -> anyhow::Result<()>) -> anyhow::Result<Self> {
        Self::rest(Decoding::start(audio), take)
    }

    /// Hands each block that is left to `take`. If that fails, it does not wait for the decoder, which may wait for a pipe.
    pub fn rest(
        mut decoding: Decoding,
        mut take: impl FnMut(&[f32]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        for block in &mut decoding {
            take(&block.map_err(with_hint)?)?;
        }
        let audio = decoding.finish().context("the decoder crashed: please report this file")?;
        let (losses, warnings): (Vec<&Warning>, Vec<&Warning>) =
            audio.warnings().iter().partition(|warning| warning.is_loss());
        let sentences = |warnings: Vec<&Warning>| warnings.into_iter().map(sentence).collect();
        Ok(Self {
            duration: audio.duration(),
            start_offset: audio.start_offset(),
            losses: sentences(losses),
            warnings: sentences(warnings),
        })
    }

    /// Logs the problems with the audio of `input`.
    pub fn warn(&self, input: &Input) {
        for loss in &self.losses {
            warn!(target: LOSS, "{input}: {loss}");
        }
        for warning in &self.warnings {
            warn!("{input}: {warning}");
        }
    }
}

/// An error, with the option that can help.
fn with_hint(error: diarize_audio::Error) -> anyhow::Error {
    match error {
        diarize_audio::Error::Damaged { .. } => {
            anyhow::anyhow!("{error}, or accept the loss with --keep-damaged")
        }
        error => error.into(),
    }
}

/// A warning, with the option that can help.
fn sentence(warning: &Warning) -> String {
    match warning {
        Warning::SeveralTracks { .. } => format!("{warning}; choose others with --track"),
        _ => warning.to_string(),
    }
}

/// Whether a path exists, but is neither a file nor a folder.
fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| !data.is_file() && !data.is_dir())
}

fn copy(mut pipe: impl Read) -> io::Result<Temporary> {
    let mut file = Temporary::new()?;
    io::copy(&mut pipe, file.file())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File, OpenOptions},
        io::Write,
        time::{Duration, SystemTime},
    };

    use diarize_audio::Settings;
    use tempfile::tempdir;

    use super::Source;
    use crate::input::Input;

    #[test]
    fn a_recording_that_is_replaced_is_an_error_and_one_that_grows_is_not() {
        let folder = tempdir().unwrap();
        let file = folder.path().join("talk.wav");
        fs::write(&file, "first").unwrap();
        let source = Source::new(&Input::File(file.clone()), Settings::default(), true).unwrap();
        let check = || source.check_version(&file);
        assert!(check().is_ok());
        OpenOptions::new().append(true).open(&file).unwrap().write_all(b" and more").unwrap();
        assert!(check().is_ok());
        fs::write(&file, "other").unwrap();
        let later = SystemTime::now() + Duration::from_secs(5);
        File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
        let told = check().unwrap_err().to_string();
        assert_eq!(told, "cannot read it: it was replaced while it was processed; run this again");
        #[cfg(unix)]
        {
            let other = folder.path().join("other.wav");
            fs::write(&other, "a longer file").unwrap();
            fs::rename(&other, &file).unwrap();
            assert!(check().is_err());
        }
    }
}
