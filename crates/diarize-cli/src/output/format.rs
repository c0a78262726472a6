//! The formats of results.

use std::path::Path;

use clap::ValueEnum;

/// The format of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line per turn, for scoring tools and pyannote
    #[default]
    Rttm,
    /// Turns, speakers, model, parameters and timings, for programs; of a transcript, segments and words with speakers
    Json,
    /// One line per turn, for spreadsheets; of a transcript, one per passage
    Csv,
    /// SubRip subtitles that name the speaker
    Srt,
    /// WebVTT with voice tags
    Vtt,
    /// A tier for each speaker, for Praat; of a transcript, also one with the words
    Textgrid,
    /// A tier for each speaker, for ELAN
    Eaf,
    /// One line per turn, for sclite and other tools that score transcripts
    Stm,
    /// An Audacity label track
    Audacity,
    /// A page with waveform, player and editable speaker names
    Html,
    /// Text for reading: one line per turn, or paragraphs if there are words
    Txt,
    /// A table of turns, for data frames and Ray Data; only in files
    Parquet,
    /// A manifest for NVIDIA NeMo: one JSON object per turn
    Nemo,
}

impl Format {
    /// Every format. If one extension ends with another, the longer one comes first.
    const ALL: [Self; 13] = [
        Format::Rttm,
        Format::Nemo,
        Format::Json,
        Format::Csv,
        Format::Srt,
        Format::Vtt,
        Format::Textgrid,
        Format::Eaf,
        Format::Stm,
        Format::Audacity,
        Format::Html,
        Format::Txt,
        Format::Parquet,
    ];

    /// The file extension of this format. Audacity's own extension, `txt`, is already used for text.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Rttm => "rttm",
            Format::Json => "json",
            Format::Csv => "csv",
            Format::Srt => "srt",
            Format::Vtt => "vtt",
            Format::Textgrid => "TextGrid",
            Format::Eaf => "eaf",
            Format::Stm => "stm",
            Format::Audacity => "labels.txt",
            Format::Html => "html",
            Format::Txt => "txt",
            Format::Parquet => "parquet",
            Format::Nemo => "manifest.json",
        }
    }

    /// Its name, as for `--format`.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The format that a file's extension indicates.
    pub fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|format| name.ends_with(&format!(".{}", format.extension().to_ascii_lowercase())))
    }

    /// The heading of a stream, written once above all results. `has_transcript` says that they have transcripts.
    pub fn heading(self, has_transcript: bool) -> &'static str {
        match (self, has_transcript) {
            (Format::Csv, false) => "file,start,end,duration,speaker,confidence\n",
            (Format::Csv, true) => "file,start,end,duration,speaker,text\n",
            _ => "",
        }
    }

    /// Whether recordings and speakers are called by words without white space.
    pub fn has_words(self) -> bool {
        matches!(self, Format::Rttm | Format::Stm)
    }

    /// Whether results contain the words of a transcript, if there is one.
    pub fn has_text(self) -> bool {
        self.has_word_level() || matches!(self, Format::Txt | Format::Json | Format::Html | Format::Textgrid)
    }

    /// Whether results contain either passages or words, as the user chooses.
    pub fn has_word_level(self) -> bool {
        matches!(self, Format::Srt | Format::Vtt | Format::Csv)
    }

    /// Whether results are text, which can be printed.
    pub fn is_text(self) -> bool {
        self != Format::Parquet
    }

    /// Whether results of several recordings can follow each other in one stream.
    pub fn streams(self) -> bool {
        matches!(self, Format::Rttm | Format::Stm | Format::Json | Format::Nemo | Format::Csv | Format::Txt)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Format;

    #[test]
    fn formats_are_recognized_by_extension() {
        for format in Format::ALL {
            let name = format!("a.talk.{}", format.extension());
            assert_eq!(Format::of_file(Path::new(&name)), Some(format), "{name}");
        }
        assert_eq!(Format::of_file(Path::new("TALK.TEXTGRID")), Some(Format::Textgrid));
        assert_eq!(Format::of_file(Path::new("talk.wav")), None);
        assert_eq!(Format::of_file(Path::new("rttm")), None);
    }
}
