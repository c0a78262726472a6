//! `diarize embed`: extracts speaker embeddings.

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::ValueEnum;
use diarize::{Diarizer, Options, Span};
use ndarray::Array2;
use ndarray_npy::WriteNpyExt;
use serde::Serialize;
use tracing::warn;

use crate::{
    audio_args::AudioArgs,
    excerpts::{ExcerptArgs, Excerpts},
    failure,
    input::Input,
    inputs,
    model::ModelArgs,
    output::{self, write_atomically},
    progress::{Console, Verbosity},
    source::Source,
};

const EXAMPLES: &str = "\
Examples:
  diarize embed ann.wav                                  one line of JSON
  diarize embed -o voices.npy ann.wav bob.wav            an array with two rows
  diarize embed --start 1:30 --end 1:42.5 meeting.mp3    part of a recording
  diarize embed --segments meeting.rttm meeting.mp3      each turn, with its speaker
  diarize embed --segments results/ -o all.npy recordings/

An embedding is the output vector of the model's embedding network. The cosine of two embeddings tells \
how similar the voices are. An embedding covers all sound in its part, whoever speaks, and is not \
normalized, like the output of pyannote.audio's Inference(model, window=\"whole\"). \
`diarize --format json --embeddings` writes the mean embedding of each speaker; `diarize enroll` stores \
voices by name.";

/// Arguments of `diarize embed`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Audio files or directories; `-` is standard input
    #[arg(required = true)]
    audio: Vec<PathBuf>,
    #[command(flatten)]
    excerpts: ExcerptArgs,
    /// Output format [default: from the extension of --output, else json]
    #[arg(short, long, value_enum, help_heading = "Output")]
    format: Option<Format>,
    /// Output file for all embeddings [default: `-`, the standard output]
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    /// Also search the subdirectories of directories
    #[arg(short, long, help_heading = "Audio")]
    recursive: bool,
    #[command(flatten)]
    audio_args: AudioArgs,
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

/// The format of embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One object per recording, on one line
    Json,
    /// A NumPy array, f32, one row per part, in the order of recordings and turns; NaN for a part that is too short
    Npy,
}

/// The JSON object of a recording.
#[derive(Serialize)]
struct Document<'a> {
    file: String,
    model: &'a str,
    embeddings: Vec<Embedded<'a>>,
}

#[derive(Serialize)]
struct Embedded<'a> {
    start: f64,
    end: f64,
    /// Left out if the speaker is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<&'a str>,
    embedding: &'a [f32],
}

/// The embeddings of a recording.
struct Voices {
    /// Each part with its speaker, if known.
    parts: Vec<(Span, Option<String>)>,
    /// `(part, dimension)`; `None` for a part that is too short.
    embeddings: Vec<Option<Vec<f32>>>,
}

/// Computes and writes the embeddings. A file that fails is reported and does not stop the others.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let inputs = inputs::find(&args.audio, args.recursive).map_err(super::conflict)?;
    if let Some(path) = args.output() {
        output::check_file(path).map_err(super::conflict)?;
        if args.excerpts.reads(path) {
            return Err(super::conflict("--output would overwrite --segments").into());
        }
    }
    let format = match (args.format, args.output()) {
        (Some(format), _) => format,
        (None, Some(path)) => format_of(path)?,
        (None, None) => Format::Json,
    };
    if format == Format::Npy && args.output().is_none() && io::stdout().is_terminal() {
        return Err(super::conflict("a NumPy array cannot be written to a terminal: use --output").into());
    }
    args.excerpts.check_stdin(&inputs).map_err(super::conflict)?;
    let console = args.verbosity.console();
    inputs.warn(&console);
    let excerpts = args.excerpts.read()?;
    let diarizer = args.model.open(&console)?;
    let options = args.model.options(&diarizer);

    let mut failed = 0;
    let mut bytes = Vec::new();
    let mut rows: Vec<Vec<f32>> = Vec::new();
    for found in &inputs.all {
        let (input, only) = (&found.input, inputs.all.len() == 1);
        match embed(&diarizer, &options, input, &args.audio_args, &excerpts, only, &console) {
            Ok(voices) if format == Format::Json => {
                serde_json::to_writer(&mut bytes, &voices.document(input, &diarizer.model().name))?;
                bytes.push(b'\n');
            }
            Ok(voices) => rows.extend(voices.rows(diarizer.model().embedding.dimension)),
            Err(error) => {
                console.error(&format!("{input}: {}", failure::sentence(&error)));
                failed += 1;
            }
        }
    }
    if format == Format::Npy {
        // The array could not show whose rows are missing.
        if failed > 0 {
            bail!("no array is written, because {failed} of {} recordings failed", inputs.all.len());
        }
        let shape = (rows.len(), diarizer.model().embedding.dimension);
        Array2::from_shape_vec(shape, rows.concat())?.write_npy(&mut bytes)?;
    }
    match args.output() {
        // An earlier result is worth more than none.
        Some(_) if failed == inputs.all.len() => {}
        Some(path) => {
            write_atomically(path, &bytes).with_context(|| format!("cannot write {}", path.display()))?
        }
        None => {
            output::print(&bytes)?;
        }
    }
    Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The format that the extension of a file gives.
fn format_of(path: &Path) -> Result<Format, clap::Error> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    match extension.as_deref() {
        Some("npy") => Ok(Format::Npy),
        Some("json" | "jsonl" | "ndjson") | None => Ok(Format::Json),
        Some(_) if output::is_special(path) => Ok(Format::Json),
        Some(_) => Err(super::conflict(format!(
            "the extension of --output {} is neither json nor npy: use one of them, or --format",
            path.display()
        ))),
    }
}

fn embed(
    diarizer: &Diarizer,
    options: &Options,
    input: &Input,
    audio_args: &AudioArgs,
    excerpts: &Excerpts,
    only: bool,
    console: &Console,
) -> anyhow::Result<Voices> {
    let source = Source::new(input, audio_args.settings(), false)?;
    let mut progress = console.file(&input.to_string());
    let mut parts = excerpts.of(input, only)?;
    let spans: Vec<Span> = parts.iter().map(|(span, _)| *span).collect();
    let mut listener = diarizer.listen_to_spans(&spans, options, |event| progress.observe(&event))?;
    let mut samples = 0;
    let decoded = source.read(|block| {
        samples += block.len();
        Ok(listener.push(block)?)
    })?;
    decoded.warn(input);
    Excerpts::clip(&mut parts, samples as f64 / f64::from(diarize::SAMPLE_RATE))?;
    let voices = Voices { parts, embeddings: listener.finish()? };
    if let Some((span, _)) = voices.short().next() {
        let times = format!("{:.3} s to {:.3} s", span.start, span.end);
        let (short, all) = (voices.short().count(), voices.parts.len());
        if short == all {
            bail!("cannot embed {times}: at least 25 ms must be within the recording");
        }
        warn!(
            "{input}: {short} of {all} parts have no embedding, because less than 25 ms of each is in the recording; \
             the first: {times}"
        );
    }
    Ok(voices)
}

impl Voices {
    /// The parts that are too short.
    fn short(&self) -> impl Iterator<Item = &(Span, Option<String>)> {
        self.parts
            .iter()
            .zip(&self.embeddings)
            .filter(|(_, embedding)| embedding.is_none())
            .map(|(part, _)| part)
    }

    /// The rows of the array.
    fn rows(self, dimension: usize) -> impl Iterator<Item = Vec<f32>> {
        self.embeddings.into_iter().map(move |row| row.unwrap_or_else(|| vec![f32::NAN; dimension]))
    }

    fn document<'a>(&'a self, input: &Input, model: &'a str) -> Document<'a> {
        let embedded = |((span, speaker), embedding): (&'a (Span, Option<String>), &'a Option<Vec<f32>>)| {
            let (start, end, speaker) = (span.start, span.end, speaker.as_deref());
            embedding.as_ref().map(|embedding| Embedded { start, end, speaker, embedding })
        };
        Document {
            file: input.to_string(),
            model,
            embeddings: self.parts.iter().zip(&self.embeddings).filter_map(embedded).collect(),
        }
    }
}
