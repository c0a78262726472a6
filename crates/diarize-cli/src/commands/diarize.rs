//! `diarize AUDIO…`: who spoke when.

use std::{fs, io, num::NonZeroUsize, path::PathBuf};

use diarize_audio::Channels;

use crate::{
    commands::conflict,
    input::Input,
    inputs::{self, Inputs},
    model::ModelArgs,
    names::NamesArgs,
    output::{Destinations, Format, PageAudio, Style},
    overrides::Overrides,
    progress::Verbosity,
    transcript::{Transcript, in_directory},
};

/// What the default command takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Audio files, directories or patterns; `-` is the standard input
    ///
    /// A directory stands for the audio files in it, a name with *, ? or [ for the files it matches.
    ///
    /// A file is named in RTTM by its name without directory and extension, white space replaced
    /// by `_`; the standard input is named `stdin`.
    #[arg(required_unless_present_any = ["completions", "version", "files_from"])]
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
    /// Write this transcript with its speakers instead of the turns
    ///
    /// JSON of openai-whisper, faster-whisper, whisper.cpp or WhisperX, SRT or WebVTT; for several recordings
    /// a directory in which each is called like its recording (talk.json for talk.wav). It is written as it
    /// was read, with the speaker of every word and line; --format txt gives text by paragraph, srt and vtt
    /// subtitles, html a page with the text. Whisper's word timestamps make it exact (--word_timestamps True, for whisper.cpp -ojf).
    #[arg(long, value_name = "PATH", conflicts_with = "embeddings", help_heading = "Output")]
    transcript: Option<PathBuf>,
    #[command(flatten)]
    verbosity: Verbosity,

    #[command(flatten)]
    names: NamesArgs,

    #[command(flatten)]
    batch: BatchArgs,

    /// Use this channel, counted from 0, instead of the mean of all
    #[arg(long, value_name = "N", help_heading = "Audio")]
    channel: Option<usize>,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    overrides: Overrides,
}

/// How many files are worked through.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Many files")]
pub struct BatchArgs {
    /// Look for audio also in the directories below a directory; results get the same folders
    #[arg(short, long)]
    recursive: bool,
    /// Take the names of inputs from this file, one a line; `-` is the standard input
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    /// Diarize so many files at once, which share the processor's threads
    #[arg(short, long, value_name = "N", default_value = "1")]
    pub jobs: NonZeroUsize,
    /// Leave out inputs whose results are all there, to go on after an interruption
    #[arg(long, requires = "output")]
    pub skip_existing: bool,
    /// Try files that failed up to N times again, after all others
    #[arg(long, value_name = "N", default_value = "0")]
    pub retry: usize,
    /// Write the names of the files that failed to this file, for --files-from
    #[arg(long, value_name = "FILE")]
    pub failures: Option<PathBuf>,
}

impl BatchArgs {
    /// The inputs that arguments and a list stand for.
    fn inputs(&self, mut audio: Vec<PathBuf>) -> Result<Inputs, String> {
        if let Some(list) = &self.files_from {
            let text = match list.to_str() {
                Some("-") if audio.iter().any(|path| path.as_os_str() == "-") => {
                    return Err(
                        "the standard input (`-`) is either the list of inputs or one of them".to_owned()
                    );
                }
                Some("-") => io::read_to_string(io::stdin()),
                _ => fs::read_to_string(list),
            };
            let text =
                text.map_err(|error| format!("cannot read --files-from {}: {error}", list.display()))?;
            audio.extend(inputs::list(&text));
        }
        let found = inputs::find(&audio, self.recursive)?;
        if found.all.iter().filter(|found| found.input == Input::Stdin).count() > 1 {
            return Err("the standard input (`-`) can be read only once".to_owned());
        }
        Ok(Inputs { several: found.several || self.files_from.is_some(), ..found })
    }
}

/// Files to diarize, checked as far as that goes without reading them.
#[derive(Debug)]
pub struct Job {
    /// The inputs, in the order given.
    pub inputs: Inputs,
    /// How they are worked through.
    pub batch: BatchArgs,
    /// Where the result of each goes.
    pub destinations: Destinations,
    /// How results are written.
    pub style: Style,
    /// A transcript that is written with its speakers.
    pub transcript: Option<PathBuf>,
    /// Whom speakers may be.
    pub names: NamesArgs,
    /// Which channels are used.
    pub channels: Channels,
    /// The model and where it runs.
    pub model: ModelArgs,
    /// Exact number of speakers.
    pub num_speakers: Option<usize>,
    /// At least this many.
    pub min_speakers: Option<usize>,
    /// At most this many.
    pub max_speakers: Option<usize>,
    /// Hyper-parameters.
    pub overrides: Overrides,
    /// What is told.
    pub verbosity: Verbosity,
}

impl Args {
    /// Checks what arguments say together. Errors are usage errors.
    pub fn into_job(self) -> Result<Job, clap::Error> {
        if let (Some(min), Some(max)) = (self.min_speakers, self.max_speakers)
            && min > max
        {
            return Err(conflict(format!("--min-speakers {min} is more than --max-speakers {max}")));
        }
        let inputs = self.batch.inputs(self.audio).map_err(conflict)?;
        if self.batch.skip_existing && self.names.link_within_run() {
            return Err(conflict(
                "--link-speakers does not know the speakers of results that are skipped: give it a file, \
                 --link-speakers=FILE",
            ));
        }
        if self.transcript.as_ref().is_some_and(|path| !path.is_dir()) && inputs.several {
            return Err(conflict(
                "--transcript is that of one recording, but there are several: name a directory of them",
            ));
        }
        let transcript = self.transcript.as_deref();
        let format = transcript.map_or(Format::default(), Transcript::format_of_file);
        let destinations =
            Destinations::plan(&inputs, &self.output, &self.format, format).map_err(conflict)?;
        let transcripts = transcript.into_iter().flat_map(|path| {
            let inputs = inputs.all.iter().map(|found| &found.input);
            let file = |input| if path.is_dir() { in_directory(path, input) } else { Some(path.to_owned()) };
            inputs.filter_map(file).collect::<Vec<_>>()
        });
        for file in transcripts {
            if destinations.overwrite(&file) {
                return Err(conflict(format!("--output would overwrite the transcript {}", file.display())));
            }
        }
        if self.embeddings && !destinations.iter().flatten().any(|output| output.format == Format::Json) {
            return Err(conflict("--embeddings needs --format json"));
        }
        Ok(Job {
            style: Style {
                embeddings: self.embeddings,
                exclusive: self.exclusive,
                page_audio: self.page_audio,
            },
            transcript: self.transcript,
            names: self.names,
            inputs,
            batch: self.batch,
            destinations,
            channels: self.channel.map_or(Channels::Mean, Channels::Only),
            model: self.model,
            num_speakers: self.num_speakers.map(NonZeroUsize::get),
            min_speakers: self.min_speakers.map(NonZeroUsize::get),
            max_speakers: self.max_speakers.map(NonZeroUsize::get),
            overrides: self.overrides,
            verbosity: self.verbosity,
        })
    }
}
