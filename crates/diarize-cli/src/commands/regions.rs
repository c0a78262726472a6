//! `diarize vad` and `diarize overlap`: find when anybody speaks, or several people at once.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::ValueEnum;
use diarize::{Diarizer, Options, Span, Turn, rttm};
use diarize_audio::Settings;
use serde_json::json;
use tracing::warn;

use crate::{
    audio_args::{AudioArgs, PartArgs},
    failure,
    input::Input,
    inputs,
    model::ModelArgs,
    numbers,
    output::{self, csv_field, write_atomically},
    progress::{Console, Verbosity},
    source::{Decoded, Source},
    warnings::SILENCE,
};

/// Shown below the help of `diarize vad`.
pub const VAD_EXAMPLES: &str = "\
Examples:
  diarize vad meeting.mp3                      speech as RTTM with the speaker SPEECH
  diarize vad -f csv recordings/ > speech.csv  all recordings in a directory
  diarize vad --min-duration-off 0.5 -f audacity -o labels.txt talk.wav";

/// Shown below the help of `diarize overlap`.
pub const OVERLAP_EXAMPLES: &str = "\
Examples:
  diarize overlap meeting.mp3                  overlap as RTTM with the speaker OVERLAP
  diarize overlap -f json meeting.mp3";

/// Arguments of `diarize vad` and `diarize overlap`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Audio files or directories; `-` is standard input
    #[arg(required = true)]
    audio: Vec<PathBuf>,
    /// Output format [default: from the extension of --output, else rttm]
    #[arg(short, long, value_enum)]
    format: Option<Format>,
    /// Output file for the regions of all recordings [default: `-`, the standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also search the subdirectories of directories
    #[arg(short, long)]
    recursive: bool,
    /// Drop regions shorter than this
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = numbers::seconds)]
    min_duration_on: f64,
    /// Fill gaps shorter than this
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = numbers::seconds)]
    min_duration_off: f64,
    #[command(flatten)]
    audio_args: AudioArgs,
    #[command(flatten)]
    part: PartArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    verbosity: Verbosity,
}

impl Args {
    /// The output file; `None` for the standard output.
    fn output(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| !output::is_stdout(path))
    }
}

/// The format of regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One line per region
    Rttm,
    /// One object per recording, on one line
    Json,
    /// File, start, end and duration
    Csv,
    /// Audacity label track, for a single recording
    Audacity,
}

/// What to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Time in which at least one person speaks.
    Speech,
    /// Time in which at least two people speak.
    Overlap,
}

impl Kind {
    fn speakers(self) -> usize {
        match self {
            Kind::Speech => 1,
            Kind::Overlap => 2,
        }
    }

    /// The warning about a recording without such time, whose result would otherwise be empty.
    fn absence(self) -> &'static str {
        match self {
            Kind::Speech => SILENCE,
            Kind::Overlap => "nobody speaks while somebody else does",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Kind::Speech => "SPEECH",
            Kind::Overlap => "OVERLAP",
        }
    }
}

/// Finds and writes the regions. A file that fails is reported and does not stop the others.
pub fn run(kind: Kind, args: &Args) -> anyhow::Result<ExitCode> {
    let part = args.part.range().map_err(super::conflict)?;
    let settings = args.audio_args.settings().with_range(part);
    let inputs = inputs::find(&args.audio, args.recursive).map_err(super::conflict)?;
    if let Some(path) = args.output() {
        output::check_file(path).map_err(super::conflict)?;
    }
    let format = match (args.format, args.output()) {
        (Some(format), _) => format,
        (None, Some(path)) => format_of(path)?,
        (None, None) => Format::Rttm,
    };
    if format == Format::Audacity && inputs.all.len() > 1 {
        return Err(
            super::conflict("an Audacity label track is for one recording, but there are several").into()
        );
    }
    if format == Format::Rttm {
        let recordings = inputs.all.iter().map(|found| (&found.input, ()));
        output::refuse_same_names(recordings).map_err(super::conflict)?;
    }
    let console = args.verbosity.console();
    inputs.warn(&console);
    let diarizer = args.model.open(&console)?;
    let mut options = args.model.options(&diarizer);
    options.parameters.min_duration_on = args.min_duration_on;
    options.parameters.min_duration_off = args.min_duration_off;

    let mut failed = 0;
    let mut text = if format == Format::Csv { "file,start,end,duration\n".to_owned() } else { String::new() };
    for found in &inputs.all {
        match regions(kind, format, &found.input, &diarizer, &options, &settings, &console) {
            Ok(regions) => text += &regions,
            Err(error) => {
                console.error(&format!("{}: {}", found.input, failure::sentence(&error)));
                failed += 1;
            }
        }
    }
    match args.output() {
        // An earlier result is worth more than none.
        Some(_) if failed == inputs.all.len() => {}
        Some(path) => {
            write_atomically(path, &text).with_context(|| format!("cannot write {}", path.display()))?
        }
        None => {
            output::print(text.as_bytes())?;
        }
    }
    Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The format that the extension of a file gives.
fn format_of(path: &Path) -> Result<Format, clap::Error> {
    match output::Format::of_file(path) {
        Some(output::Format::Rttm) => Ok(Format::Rttm),
        Some(output::Format::Json) => Ok(Format::Json),
        Some(output::Format::Csv) => Ok(Format::Csv),
        Some(output::Format::Audacity) => Ok(Format::Audacity),
        None if path.extension().is_none() || output::is_special(path) => Ok(Format::Rttm),
        _ => Err(super::conflict(format!(
            "the extension of --output {} is not a format of regions: use another one, or --format",
            path.display()
        ))),
    }
}

/// The regions of one recording as text.
fn regions(
    kind: Kind,
    format: Format,
    input: &Input,
    diarizer: &Diarizer,
    options: &Options,
    settings: &Settings,
    console: &Console,
) -> anyhow::Result<String> {
    let source = Source::new(input, settings.clone(), false)?;
    let mut progress = console.file(&input.to_string()).segmentation_only();
    let audio = source.open()?;
    let mut listener = diarizer.listen_for_activity(options, |event| progress.observe(&event))?;
    listener.expect_seconds(audio.declared_duration().unwrap_or(0.0));
    let decoded = Decoded::all(audio, |block| Ok(listener.push(block)?))?;
    decoded.warn(input);
    let within = |span: Span| Span { start: source.start() + span.start, end: source.start() + span.end };
    let spans: Vec<Span> = listener.finish(kind.speakers())?.into_iter().map(within).collect();
    if spans.is_empty() {
        warn!("{input}: {}", kind.absence());
    }
    render(kind, format, input, decoded.duration, &spans)
}

fn render(
    kind: Kind,
    format: Format,
    input: &Input,
    duration: f64,
    spans: &[Span],
) -> anyhow::Result<String> {
    let label = kind.label();
    let lines = |line: &dyn Fn(&Span) -> String| spans.iter().map(line).collect::<String>();
    Ok(match format {
        Format::Rttm => {
            let turn = |span: &Span| Turn::new(span.start, span.end, label);
            rttm(&output::uri(&input.stem()), &spans.iter().map(turn).collect::<Vec<_>>())?
        }
        Format::Json => {
            let regions = spans.iter().map(|span| json!({ "start": span.start, "end": span.end }));
            let total: f64 = spans.iter().map(|span| span.end - span.start).sum();
            let object = json!({
                "file": input.to_string(),
                "kind": label.to_lowercase(),
                "duration": duration,
                "total": total,
                "regions": regions.collect::<Vec<_>>(),
            });
            format!("{object}\n")
        }
        Format::Csv => {
            let file = csv_field(&input.to_string()).into_owned();
            lines(&|Span { start, end }| format!("{file},{start:.3},{end:.3},{:.3}\n", end - start))
        }
        Format::Audacity => lines(&|Span { start, end }| format!("{start:.6}\t{end:.6}\t{label}\n")),
    })
}
