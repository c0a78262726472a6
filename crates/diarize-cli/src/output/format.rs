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
    /// A tier for each speaker, for Praat and ELAN
    Textgrid,
    /// Audacity label track
    Audacity,
    /// An HTML page to view, play and correct
    Html,
    /// One line per turn, for people
    Txt,
}

impl Format {
    /// Every format; where the extension of one ends with another's, the longer is first.
    const ALL: [Self; 9] = [
        Format::Rttm,
        Format::Json,
        Format::Csv,
        Format::Srt,
        Format::Vtt,
        Format::Textgrid,
        Format::Audacity,
        Format::Html,
        Format::Txt,
    ];

    /// The extension of files of this format. Audacity's own, `txt`, is that of text.
    pub fn extension(self) -> &'static str {
        match self {
            Format::Rttm => "rttm",
            Format::Json => "json",
            Format::Csv => "csv",
            Format::Srt => "srt",
            Format::Vtt => "vtt",
            Format::Textgrid => "TextGrid",
            Format::Audacity => "labels.txt",
            Format::Html => "html",
            Format::Txt => "txt",
        }
    }

    /// The format that the name of a file stands for.
    pub fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        Self::ALL
            .into_iter()
            .find(|format| name.ends_with(&format!(".{}", format.extension().to_ascii_lowercase())))
    }

    /// What stands once above all results of a stream.
    pub fn heading(self) -> &'static str {
        match self {
            Format::Csv => "file,start,end,duration,speaker,confidence\n",
            _ => "",
        }
    }

    /// Whether results of several recordings can follow each other in one stream.
    pub fn streams(self) -> bool {
        matches!(self, Format::Rttm | Format::Json | Format::Csv | Format::Txt)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Format;

    #[test]
    fn files_are_known_by_their_extension() {
        for format in Format::ALL {
            let name = format!("a.talk.{}", format.extension());
            assert_eq!(Format::of_file(Path::new(&name)), Some(format), "{name}");
        }
        assert_eq!(Format::of_file(Path::new("TALK.TEXTGRID")), Some(Format::Textgrid));
        assert_eq!(Format::of_file(Path::new("talk.wav")), None);
        assert_eq!(Format::of_file(Path::new("rttm")), None);
    }
}
