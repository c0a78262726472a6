//! Results as text, and where they go.

mod audacity;
mod clock;
mod csv;
mod destination;
mod format;
mod html;
mod json;
mod subtitles;
mod textgrid;
mod txt;

use std::{collections::BTreeMap, path::Path, time::Duration};

use diarize::{Device, Diarization, Options, Stage, Turn};
use serde::Serialize;

use crate::{source::Source, transcript::Transcript};

pub(crate) use self::{clock::clock, csv::field as csv_field, subtitles::escaped};
pub use self::{
    destination::{Destination, Destinations, Output, exit_after_write, write_atomically},
    format::Format,
    html::PageAudio,
};

/// How results are written.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether JSON holds the embeddings of the speakers.
    pub embeddings: bool,
    /// Whether only one speaker may speak at a time.
    pub exclusive: bool,
    /// Where a page has its audio from.
    pub page_audio: PageAudio,
}

/// One diarized recording with what is told of it.
#[derive(Clone, Copy)]
pub struct Recording<'a> {
    /// Its file, for people.
    pub file: &'a str,
    /// Its path, where it is a file.
    pub path: Option<&'a Path>,
    /// Its name in RTTM, without white space.
    pub uri: &'a str,
    /// Its length in seconds.
    pub duration: f64,
    /// Its audio, which the page reads again.
    pub source: &'a Source,
    /// What was wrong with it.
    pub warnings: &'a [String],
    /// The name of the model.
    pub model: &'a str,
    /// Where the networks ran.
    pub device: Device,
    /// What was asked for.
    pub options: &'a Options,
    /// How long it took.
    pub timings: Timings,
    /// The answer.
    pub diarization: &'a Diarization,
    /// How alike those are whose voices were recognized, by their names.
    pub similarities: &'a BTreeMap<String, f64>,
    /// What is said in it, with the speakers of the answer.
    pub transcript: Option<&'a Transcript>,
}

impl Recording<'_> {
    /// The result as text, for `destination`. `shared` says that results of other recordings stand in the
    /// same stream, below one [`Format::heading`].
    pub fn render(
        &self,
        format: Format,
        style: Style,
        shared: bool,
        destination: &Destination,
    ) -> anyhow::Result<String> {
        if let Some(text) = self.transcript.map(|transcript| transcript.render(format)).transpose()?.flatten()
        {
            return Ok(text);
        }
        let turns = if style.exclusive { &self.diarization.exclusive } else { &self.diarization.turns };
        Ok(match format {
            Format::Rttm => diarize::rttm(self.uri, &named_by_words(turns))?,
            Format::Json => json::render(self, turns, shared, style)?,
            Format::Csv => csv::render(self, turns, shared),
            Format::Srt => subtitles::srt(turns),
            Format::Vtt => subtitles::vtt(turns),
            Format::Textgrid => textgrid::render(self.duration, turns),
            Format::Audacity => audacity::render(turns),
            Format::Html => html::render(self, turns, style, destination)?,
            Format::Txt => txt::render(self, turns, shared),
        })
    }
}

/// Seconds that each step took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Timings {
    /// Reading, decoding and resampling the audio.
    pub reading: f64,
    /// The segmentation network.
    pub segmentation: f64,
    /// Counting the speakers of every frame.
    pub speaker_counting: f64,
    /// The embedding network.
    pub embeddings: f64,
    /// Clustering the embeddings.
    pub clustering: f64,
    /// All of these and putting the turns together.
    pub total: f64,
}

impl Timings {
    /// Adds time to that of a stage.
    pub fn add(&mut self, stage: Stage, elapsed: Duration) {
        let step = match stage {
            Stage::Segmentation => &mut self.segmentation,
            Stage::SpeakerCounting => &mut self.speaker_counting,
            Stage::Embeddings => &mut self.embeddings,
            _ => &mut self.clustering,
        };
        *step += elapsed.as_secs_f64();
    }
}

/// The name that a recording or speaker gets in RTTM, whose fields are separated by blanks.
pub fn uri(stem: &str) -> String {
    stem.replace(char::is_whitespace, "_")
}

/// Turns whose speakers have names without white space, as RTTM needs them.
fn named_by_words(turns: &[Turn]) -> Vec<Turn> {
    turns.iter().map(|turn| Turn { speaker: uri(&turn.speaker), ..turn.clone() }).collect()
}
