//! Results as text, and their destinations.

mod audacity;
mod check;
mod clashes;
mod clock;
mod csv;
mod destination;
mod format;
mod html;
mod json;
mod nemo;
mod new_files;
mod overlap;
mod parquet;
mod readable;
mod subtitles;
mod textgrid;
mod txt;
mod words;

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::bail;
use diarize::{Device, Diarization, Options, Precision, Stage, Turn};
use serde::Serialize;

use crate::{audio_args::Time, eaf, source::Source, stm, transcript::Transcript};

pub use self::{
    check::{check_file, is_same_file, is_special},
    clashes::refuse_same_names,
    destination::{
        Destination, Destinations, Output, beside, check_folder, exit_after_write, folder, is_stdout, print,
        resolved, write_atomically,
    },
    format::Format,
    html::PageAudio,
    new_files::{NewFiles, check_new_folder},
    overlap::overlaps,
    words::{uri, with_words},
};
pub(crate) use self::{
    clock::clock, csv::field as csv_field, readable::SHORTEST, subtitles::escaped, words::words,
};

/// How results are written.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether JSON contains the embeddings of the speakers.
    pub embeddings: bool,
    /// Whether to write at most one speaker at a time.
    pub exclusive: bool,
    /// Whether to write each word of a transcript by itself, in formats for which this is a choice.
    pub words: bool,
    /// Where the page gets its audio.
    pub page_audio: PageAudio,
}

/// One diarized recording with everything that results report.
#[derive(Clone, Copy)]
pub struct Recording<'a> {
    /// Its file, for display.
    pub file: &'a str,
    /// Its path, if it is a file.
    pub path: Option<&'a Path>,
    /// Its name in RTTM, without white space.
    pub uri: &'a str,
    /// Its length in seconds. If only a part was diarized, the end of the part.
    pub duration: f64,
    /// How its channels were used: `mean`, `separate`, or the number of one.
    pub channels: &'a str,
    /// Where time 0 is.
    pub clock: Time,
    /// Seconds of silence before the audio, because it starts later than the recording.
    pub start_offset: f64,
    /// Its audio, which the HTML page reads again.
    pub source: &'a Source,
    /// Warnings about it.
    pub warnings: &'a [String],
    /// The name of the model.
    pub model: &'a str,
    /// The device of the networks.
    pub device: Device,
    /// How precisely they multiplied.
    pub precision: Precision,
    /// The options used.
    pub options: &'a Options,
    /// Processing times.
    pub timings: Timings,
    /// The diarization.
    pub diarization: &'a Diarization,
    /// Cosine similarity of each recognized speaker, by name.
    pub similarities: &'a BTreeMap<String, f64>,
    /// Its transcript, with speakers.
    pub transcript: Option<&'a Transcript>,
}

impl Recording<'_> {
    /// The result as the content of a file; see [`Self::render`].
    pub fn content(
        &self,
        format: Format,
        style: Style,
        destination: &Destination,
    ) -> anyhow::Result<Vec<u8>> {
        match format {
            Format::Parquet => parquet::render(self, self.turns(style)),
            _ => Ok(self.render(format, style, false, destination)?.into_bytes()),
        }
    }

    fn turns(&self, style: Style) -> &[Turn] {
        if style.exclusive { &self.diarization.exclusive } else { &self.diarization.turns }
    }

    /// The result as text, for `destination`. `shared` says that results of other recordings are in the same
    /// stream, below one [`Format::heading`].
    pub fn render(
        &self,
        format: Format,
        style: Style,
        shared: bool,
        destination: &Destination,
    ) -> anyhow::Result<String> {
        let by_word = (style.words && format.has_word_level())
            .then(|| self.transcript.map(Transcript::word_by_word))
            .flatten();
        let transcript = by_word.as_ref().or(self.transcript);
        if let Some(text) = transcript.map(|transcript| transcript.render(format)).transpose()?.flatten() {
            return Ok(match format {
                Format::Json if shared => json::on_one_line(self.file, &text)?,
                Format::Txt if shared => format!("{}:\n{text}\n", self.file),
                _ => text,
            });
        }
        let turns = self.turns(style);
        Ok(match format {
            Format::Parquet => bail!("a Parquet table is not text: write it to a file with --output"),
            Format::Rttm => diarize::rttm(self.uri, &with_words(turns))?,
            Format::Stm => stm::render(self.uri, &with_words(turns)),
            Format::Json => json::render(self, turns, shared, style)?,
            Format::Nemo => nemo::render(self, turns)?,
            Format::Csv => csv::render(self, transcript, turns, shared),
            Format::Srt => subtitles::srt(&readable::readable(turns)),
            Format::Vtt => subtitles::vtt(&readable::readable(turns)),
            Format::Textgrid => textgrid::render(self.duration, turns, transcript),
            Format::Eaf => {
                let media = self.path.map(|path| destination.path_to(path)).transpose()?;
                eaf::render(media.as_deref(), turns)
            }
            Format::Audacity => audacity::render(turns),
            Format::Html => html::render(self, turns, style, destination)?,
            Format::Txt => txt::render(self, &readable::readable(turns), shared),
        })
    }
}

/// Time in seconds of each step. A GPU runs both networks at the same time, which counts for the one that reports progress.
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
    /// The whole recording, including steps not listed here.
    pub total: f64,
}

impl Timings {
    /// Adds time to a stage.
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
