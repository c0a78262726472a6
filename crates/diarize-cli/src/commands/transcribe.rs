//! `diarize transcribe`: what was said, by whom and when.

use std::path::PathBuf;

use crate::{
    commands::{
        conflict,
        diarize::{DiarizeArgs, Job},
    },
    failure,
    output::Format,
    recognition::RecognitionArgs,
};

/// Examples at the end of the help.
pub const EXAMPLES: &str = "\
Examples:
  diarize transcribe meeting.mp3                     paragraphs with speakers
  diarize transcribe --whisper whisper-tiny.en -o talk.srt talk.wav
  diarize transcribe --language German -o talk.json -o talk.html talk.mp3
  diarize transcribe --words -o words.csv talk.mp3   one row per word, for spreadsheets

Models:
  diarize model download whisper-small    gets a model; `diarize model list` shows others, from tiny to large-v3-turbo.
  --whisper also takes a folder, in the format of huggingface.co or of faster-whisper, or with a GGUF file as for candle.
  --device and --precision apply to Whisper too.

Results:
  Without --output and --format, the result is text. The formats txt, srt, vtt, json, html, csv and textgrid contain the
  words; others only contain who speaks when.";

/// The help of `--format`, whose default differs from that of the other commands.
const FORMAT: &str =
    "Output formats, separated by commas [default: from the extension of --output, else txt]";

/// The help of `--allow-cpu-fallback`, which is about the networks that find speakers.
const FALLBACK: &str = "If the device lacks an operation or memory, find the speakers on the CPU with a warning; Whisper stays on the device";

/// Arguments of the command.
#[derive(Debug, clap::Args)]
#[command(mut_arg("transcript", |arg| arg.hide(true)), mut_arg("embeddings", |arg| arg.hide(true)))]
#[command(mut_arg("channels", |arg| arg.hide(true)), mut_arg("channel_names", |arg| arg.hide(true)))]
#[command(mut_arg("allow_cpu_fallback", |arg| arg.help(FALLBACK)))]
#[command(mut_arg("format", |arg| arg.help(FORMAT).long_help(FORMAT)))]
pub struct Args {
    /// Audio files, directories or patterns; `-` is standard input
    #[arg(required_unless_present = "files_from")]
    audio: Vec<PathBuf>,
    #[command(flatten)]
    recognition: RecognitionArgs,
    #[command(flatten)]
    options: DiarizeArgs,
}

impl Args {
    /// Checks the combination of arguments. Errors are usage errors.
    pub fn into_job(self) -> Result<Job, clap::Error> {
        if let Some(option) = self.options.option_without_words() {
            let other = match option.starts_with("--channels") {
                true => ", or give a transcript in JSON to `diarize --transcript FILE --channels separate`",
                false => "",
            };
            return Err(conflict(format!(
                "transcribe cannot be combined with {option}: leave it out{other}"
            )));
        }
        let job = self.options.into_job(self.audio, Format::Txt)?;
        let formats: Vec<Format> = job.destinations.iter().flatten().map(|output| output.format).collect();
        if let [first, ..] = formats[..]
            && !formats.iter().any(|format| format.has_text())
        {
            return Err(conflict(format!(
                "{} cannot contain words: use txt, srt, vtt, json, html, csv or textgrid, or leave out `transcribe` for the \
                 turns alone",
                first.name()
            )));
        }
        let recognition = self.recognition.find().map_err(|error| conflict(failure::sentence(&error)))?;
        Ok(Job { recognition: Some(recognition), ..job })
    }
}
