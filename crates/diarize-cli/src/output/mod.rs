//! Results as text, and where they go.

mod destination;
mod json;
mod txt;

pub use destination::{Destination, Destinations};

use diarize::{Diarization, Options, Turn};

/// The format of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One line a turn, for scoring tools and pyannote
    #[default]
    Rttm,
    /// Turns, speakers, model and parameters, for programs
    Json,
    /// One line a turn, for people
    Txt,
}

impl Format {
    /// The extension of files of this format.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Rttm => "rttm",
            Format::Json => "json",
            Format::Txt => "txt",
        }
    }
}

/// How results are written.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Their format.
    pub format: Format,
    /// Whether JSON holds the embeddings of the speakers.
    pub embeddings: bool,
    /// Whether only one speaker may speak at a time.
    pub exclusive: bool,
}

/// One diarized recording with what is told of it.
#[derive(Clone, Copy)]
pub struct Recording<'a> {
    /// Its file, for people.
    pub file: &'a str,
    /// Its name in RTTM, without white space.
    pub uri: &'a str,
    /// Its length in seconds.
    pub duration: f64,
    /// The name of the model.
    pub model: &'a str,
    /// What was asked for.
    pub options: &'a Options,
    /// The answer.
    pub diarization: &'a Diarization,
}

impl Recording<'_> {
    /// The turns that are written.
    fn turns(&self, style: Style) -> &[Turn] {
        if style.exclusive { &self.diarization.exclusive } else { &self.diarization.turns }
    }

    /// The result as text. `shared` says that other results follow in the same stream.
    pub fn render(&self, style: Style, shared: bool) -> anyhow::Result<String> {
        Ok(match style.format {
            Format::Rttm => diarize::turns::rttm(self.uri, self.turns(style))?,
            Format::Json => json::render(self, style, shared)?,
            Format::Txt => txt::render(self, style, shared),
        })
    }
}

/// The name that a recording gets in RTTM, whose fields are separated by blanks.
pub fn uri(stem: &str) -> String {
    stem.replace(char::is_whitespace, "_")
}
