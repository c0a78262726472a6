//! The formats of results.

use std::path::Path;

/// The format of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One line per turn, for scoring tools and pyannote
    #[default]
    Rttm,
    /// Turns, speakers, model, parameters and timings, for programs
    Json,
    /// One line per turn, for spreadsheets
    Csv,
    /// SubRip subtitles that name the speaker
    Srt,
    /// WebVTT with voice tags
    Vtt,
    /// A tier for each speaker, for Praat
    Textgrid,
    /// A tier for each speaker, for ELAN
    Eaf,
    /// One line per turn, for sclite and other tools that score transcripts
    Stm,
    /// An Audacity label track
    Audacity,
    /// A page with waveform, player and editable speaker names
    Html,
    /// One line per turn, for reading
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

    /// The format that a file's extension indicates.
    pub fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|format| name.ends_with(&format!(".{}", format.extension().to_ascii_lowercase())))
    }

    /// The heading of a stream, written once above all results.
    pub fn heading(self) -> &'static str {
        match self {
            Format::Csv => "file,start,end,duration,speaker,confidence\n",
            _ => "",
        }
    }

    /// Whether recordings and speakers are called by words without white space.
    pub fn has_words(self) -> bool {
        matches!(self, Format::Rttm | Format::Stm)
    }

    /// Whether results contain the words of a transcript, if there is one.
    #[cfg(feature = "words")]
    pub fn has_text(self) -> bool {
        matches!(self, Format::Txt | Format::Srt | Format::Vtt | Format::Json | Format::Html)
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
