//! The command line.

use std::{
    fmt,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::bail;
use clap::{
    CommandFactory, Parser,
    builder::{PossibleValuesParser, TypedValueParser},
    error::ErrorKind,
};
use clap_complete::Shell;
use diarize::{
    Device, EmbeddingTrunk, Options,
    clustering::{Assignment, Compat, Method, Settings},
};

use crate::{
    audio::Channels,
    output::{Destinations, Format, PageAudio, Style},
};

const EXAMPLES: &str = "\
Examples:
  diarize meeting.wav                          who spoke when, as RTTM on the standard output
  diarize --format txt meeting.mp3             the same for people to read
  diarize -o meeting.html meeting.mp3          a page to look at, listen to and correct
  diarize --num-speakers 2 call.m4a            the number of speakers is known
  diarize -f rttm,json -o results/ *.flac      results/NAME.rttm and NAME.json for every file
  diarize -o talk.srt -o talk.csv talk.mp3     the format is that of the extension
  diarize --embedding-trunk shared long.mp3    several times faster, embeddings a little different
  diarize --clustering spectral talk.mp3       another way to tell the voices apart
  diarize --clustering agglomerative --set linkage=average --set threshold=0.5 talk.mp3
  ffmpeg -i talk.opus -f wav - | diarize -     any format that ffmpeg reads

Audio:
  wav, flac, mp3, ogg vorbis, m4a (aac, alac), aiff, caf and mkv are read at any sample rate;
  channels are averaged. Opus is not read: convert it with ffmpeg first.
  At other sample rates than 16 kHz results can differ minutely from those of pyannote.audio,
  which resamples with a shorter filter.

Exit status:
  0  every file was done
  1  a file failed, or the model or device cannot be used; the other files were done
  2  the command line is wrong; nothing was done";

/// Who spoke when: finds the speakers of a recording and their turns.
///
/// The answer is that of pyannote.audio's speaker diarization.
#[derive(Debug, Parser)]
#[command(name = "diarize", version, after_long_help = EXAMPLES, max_term_width = 110)]
pub struct Args {
    /// Audio files; `-` is the standard input
    ///
    /// A file is named in RTTM by its name without directory and extension, white space replaced
    /// by `_`; the standard input is named `stdin`.
    #[arg(required_unless_present = "completions")]
    audio: Vec<PathBuf>,

    /// Exact number of speakers, where it is known
    #[arg(long, value_name = "N", help_heading = "Speakers", conflicts_with_all = ["min_speakers", "max_speakers"])]
    num_speakers: Option<NonZeroUsize>,
    /// At least this many speakers
    #[arg(long, value_name = "N", help_heading = "Speakers")]
    min_speakers: Option<NonZeroUsize>,
    /// At most this many speakers
    #[arg(long, value_name = "N", help_heading = "Speakers")]
    max_speakers: Option<NonZeroUsize>,

    /// Formats of the result, separated by commas [default: that of --output's extension, else rttm]
    #[arg(short, long, value_enum, value_delimiter = ',', help_heading = "Output")]
    format: Vec<Format>,
    /// File, or directory for several results [default: the standard output]
    ///
    /// One result goes to this file, in the format of its extension unless --format says another; the
    /// option can be given several times. Several inputs or formats, or a path that is a directory or
    /// ends in `/`, give DIR/NAME.FORMAT each. Files appear when they are whole.
    ///
    /// On the standard output several results follow each other: in rttm as they are, in json one
    /// object a line, in csv below one heading, in txt with a heading each.
    #[arg(short, long, value_name = "PATH", help_heading = "Output")]
    output: Vec<PathBuf>,
    /// Write the mean embedding of each speaker (with --format json)
    #[arg(long, help_heading = "Output")]
    embeddings: bool,
    /// At most one speaker at a time, for joining with a transcript
    #[arg(long, help_heading = "Output")]
    exclusive: bool,
    /// Where a page has its audio from (with --format html)
    #[arg(long, value_name = "WHERE", value_enum, default_value_t, help_heading = "Output")]
    page_audio: PageAudio,
    /// Neither progress bar nor warnings
    #[arg(short, long, conflicts_with = "verbose", help_heading = "Output")]
    quiet: bool,
    /// Tell what is done and how long it takes
    #[arg(short, long, help_heading = "Output")]
    verbose: bool,

    /// Use this channel, counted from 0, instead of the mean of all
    #[arg(long, value_name = "N", help_heading = "Audio")]
    channel: Option<usize>,

    /// A model: converted, of pyannote, or on a hub [default: the model in the box]
    ///
    /// Directory of a converted model; config.yaml of a pipeline of pyannote, or the directory with
    /// it; or a hub repository such as pyannote/speaker-diarization-3.1, for which HF_TOKEN, HF_HOME,
    /// HF_ENDPOINT and HF_HUB_OFFLINE are respected. What is on the disk under that name wins.
    #[arg(long, value_name = "MODEL", help_heading = "Model")]
    model: Option<String>,
    /// Where the networks run: auto, cpu, metal, cuda or cuda:N
    #[arg(long, default_value = "auto", help_heading = "Model")]
    device: Device,
    /// Processor threads; the result does not depend on them [default: all]
    #[arg(long, value_name = "N", help_heading = "Model")]
    threads: Option<NonZeroUsize>,

    /// Print the completions of a shell, to be sourced or put where the shell looks for them
    #[arg(long, value_name = "SHELL", exclusive = true)]
    completions: Option<Shell>,

    #[command(flatten)]
    overrides: Overrides,
}

/// Hyper-parameters given in place of the model's own.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Hyper-parameters [default: the model's own]")]
pub struct Overrides {
    /// Speakers whose voices are closer than this are one
    #[arg(long, value_name = "DISTANCE", value_parser = not_negative)]
    threshold: Option<f64>,
    /// Smaller groups of voice samples are given to the nearest larger one
    #[arg(long, value_name = "N")]
    min_cluster_size: Option<NonZeroUsize>,
    /// How voice samples become speakers, with defaults for what the model does not say
    ///
    /// agglomerative: merges the nearest groups up to a threshold, as speaker-diarization-3.1 does
    /// (--set linkage, threshold, min_cluster_size). The linkage is centroid, median, average, weighted,
    /// complete, single or ward; each needs a threshold of its own.
    ///
    /// vbx: variational Bayes, as speaker-diarization-community-1 does, for models with a PLDA (--set
    /// threshold, fa, fb, lda_dimension, max_iterations, kmeans.seed).
    ///
    /// kmeans: for a known number of speakers (--set runs, max_iterations, seed).
    ///
    /// spectral: needs no threshold (--set neighbours, max_speakers, max_embeddings, kmeans.seed).
    ///
    /// All know min_alone, the share of a chunk that somebody must speak alone to found a speaker, and
    /// assignment, which is nearest or distinct (no two voices of a chunk are one speaker).
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Method::NAMES), verbatim_doc_comment)]
    clustering: Option<String>,
    /// Set a parameter of the clustering, such as threshold=0.6; can be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Do as this version of pyannote does, also where that surprises or fails
    ///
    /// Without it, more people never speak at once than speakers were found, speakers are numbered in
    /// one order also from the 11th on, and asking for more speakers than can be told apart gives as
    /// many as can be.
    #[arg(long, value_name = "VERSION", value_enum)]
    compat: Option<Version>,
    /// What the embedding network, nearly all of the work, runs over
    ///
    /// chunk: each chunk by itself, as pyannote does.
    ///
    /// shared: the recording once, for all chunks; several times faster, embeddings differ a little.
    #[arg(long, value_name = "OVER", value_parser = PossibleValuesParser::new(["chunk", "shared"]).try_map(|name| name.parse::<EmbeddingTrunk>()))]
    embedding_trunk: Option<EmbeddingTrunk>,
    /// Drop turns shorter than this
    #[arg(long, value_name = "SECONDS", value_parser = not_negative)]
    min_duration_on: Option<f64>,
    /// Fill pauses of one speaker shorter than this
    #[arg(long, value_name = "SECONDS", value_parser = not_negative)]
    min_duration_off: Option<f64>,
    /// Hop between the chunks that the networks see
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    step: Option<f64>,
}

/// A version of pyannote.audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// As 3.3: all who speak found speakers, and each voice goes to the nearest
    #[value(name = "pyannote-3.3")]
    Pyannote3_3,
    /// As 4.0: who speaks alone for a fifth of a chunk founds speakers
    #[value(name = "pyannote-4.0")]
    Pyannote4_0,
}

impl Overrides {
    /// Puts what was given into the options; `chunk` is the length of the model's chunks in seconds.
    pub fn apply(&self, options: &mut Options, chunk: f64) -> anyhow::Result<()> {
        if let Some(step) = self.step.filter(|&step| step > chunk) {
            bail!("--step {step} is longer than the chunks of the model, {chunk} s");
        }
        let parameters = &mut options.parameters;
        self.cluster_by(&mut parameters.clustering)?;
        parameters.embedding_trunk = self.embedding_trunk.unwrap_or(parameters.embedding_trunk);
        parameters.min_duration_on = self.min_duration_on.unwrap_or(parameters.min_duration_on);
        parameters.min_duration_off = self.min_duration_off.unwrap_or(parameters.min_duration_off);
        parameters.segmentation_step = self.step.map_or(parameters.segmentation_step, |step| step / chunk);
        Ok(())
    }

    fn cluster_by(&self, settings: &mut Settings) -> anyhow::Result<()> {
        if let Some(name) = self.clustering.as_deref().filter(|name| *name != settings.method.name()) {
            *settings = Settings::named(name).expect("the parser takes no other names");
        }
        let vbx = matches!(settings.method, Method::Vbx(_));
        match self.compat {
            None => {}
            Some(Version::Pyannote3_3) if vbx => bail!("pyannote-3.3 has no VBx: choose pyannote-4.0"),
            Some(Version::Pyannote3_3) => {
                (settings.min_alone, settings.assignment) = (0.0, Assignment::Nearest);
            }
            Some(Version::Pyannote4_0) => {
                settings.min_alone = 0.2;
                settings.assignment = if vbx { Assignment::Distinct } else { Assignment::Nearest };
            }
        }
        if self.compat.is_some() {
            settings.compat = Compat::Pyannote;
        }
        if let Some(threshold) = self.threshold {
            settings.set("threshold", &threshold.to_string())?;
        }
        if let Some(size) = self.min_cluster_size {
            settings.set("min_cluster_size", &size.to_string())?;
        }
        for (key, value) in &self.set {
            settings.set(key, value)?;
        }
        Ok(())
    }
}

/// What the command line asks for.
pub enum Mode {
    /// Print shell completions.
    Completions(Shell),
    /// Diarize files.
    Diarize(Box<Job>),
}

/// Files to diarize, checked as far as that goes without reading them.
#[derive(Debug)]
pub struct Job {
    /// The inputs, in the order given.
    pub inputs: Vec<Input>,
    /// Where the result of each goes.
    pub destinations: Destinations,
    /// How results are written.
    pub style: Style,
    /// Which channels are used.
    pub channels: Channels,
    /// Where the model is, or `None` for the one in the box.
    pub model: Option<String>,
    /// Where the networks run.
    pub device: Device,
    /// Exact number of speakers.
    pub num_speakers: Option<usize>,
    /// At least this many.
    pub min_speakers: Option<usize>,
    /// At most this many.
    pub max_speakers: Option<usize>,
    /// Processor threads.
    pub threads: Option<usize>,
    /// Hyper-parameters.
    pub overrides: Overrides,
    /// Only errors are told.
    pub quiet: bool,
    /// Everything is told.
    pub verbose: bool,
}

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file.
    File(PathBuf),
    /// The standard input.
    Stdin,
}

impl Input {
    /// What the recording is called: the file's name without extension, or `stdin`. Bytes that are
    /// not UTF-8 are replaced.
    pub fn stem(&self) -> String {
        match self {
            Input::File(path) => path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            Input::Stdin => "stdin".to_owned(),
        }
    }
}

impl Input {
    /// Its path, where it is a file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Input::File(path) => Some(path),
            Input::Stdin => None,
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::File(path) => path.display().fmt(f),
            Input::Stdin => f.write_str("standard input"),
        }
    }
}

impl Args {
    /// Checks what arguments say together. Errors are usage errors.
    pub fn into_mode(self) -> Result<Mode, clap::Error> {
        if let Some(shell) = self.completions {
            return Ok(Mode::Completions(shell));
        }
        if let (Some(min), Some(max)) = (self.min_speakers, self.max_speakers)
            && min > max
        {
            return Err(conflict(format!("--min-speakers {min} is more than --max-speakers {max}")));
        }
        let inputs: Vec<Input> = self.audio.into_iter().map(input).collect();
        if inputs.iter().filter(|input| **input == Input::Stdin).count() > 1 {
            return Err(conflict("the standard input (`-`) can be read only once"));
        }
        let destinations = Destinations::plan(&inputs, &self.output, &self.format).map_err(conflict)?;
        if self.embeddings && !destinations.iter().flatten().any(|output| output.format == Format::Json) {
            return Err(conflict("--embeddings needs --format json"));
        }
        Ok(Mode::Diarize(Box::new(Job {
            style: Style {
                embeddings: self.embeddings,
                exclusive: self.exclusive,
                page_audio: self.page_audio,
            },
            inputs,
            destinations,
            channels: self.channel.map_or(Channels::Mean, Channels::Only),
            model: self.model,
            device: self.device,
            num_speakers: self.num_speakers.map(NonZeroUsize::get),
            min_speakers: self.min_speakers.map(NonZeroUsize::get),
            max_speakers: self.max_speakers.map(NonZeroUsize::get),
            threads: self.threads.map(NonZeroUsize::get),
            overrides: self.overrides,
            quiet: self.quiet,
            verbose: self.verbose,
        })))
    }
}

fn input(path: PathBuf) -> Input {
    if path.as_os_str() == "-" { Input::Stdin } else { Input::File(path) }
}

fn conflict(message: impl fmt::Display) -> clap::Error {
    Args::command().error(ErrorKind::ArgumentConflict, message)
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE, such as threshold=0.6")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

fn not_negative(text: &str) -> Result<f64, String> {
    finite(text, |number| number >= 0.0).ok_or_else(|| "must be a number, 0 or more".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    finite(text, |number| number > 0.0).ok_or_else(|| "must be a number above 0".to_owned())
}

fn finite(text: &str, accept: impl Fn(f64) -> bool) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && accept(*number))
}
