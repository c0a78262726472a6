//! `diarize AUDIO…`: finds out who spoke when.

use std::{num::NonZeroUsize, ops::Range, path::PathBuf};

use crate::{
    audio_args::{AudioArgs, ChannelsArgs, PartArgs},
    commands::{conflict, misplaced},
    failure,
    input::Input,
    inputs::{self, Inputs},
    model::ModelArgs,
    names::NamesArgs,
    numbers::{self, Shard},
    output::{self, Destinations, Format, PageAudio, Style},
    overrides::Overrides,
    progress::Verbosity,
    speaker_count::SpeakerCountArgs,
    text,
    transcript::{Transcript, in_directory},
};

/// Arguments of the default command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Audio files, directories or patterns; `-` is standard input
    ///
    /// A directory means all audio files in it; a pattern with *, ? or [ means all files it matches.
    ///
    /// In RTTM and STM, a recording has the name of its file without directory and extension, with white
    /// space replaced by `_`, as in the names of speakers; the standard input is called `stdin`.
    #[arg(required_unless_present_any = ["completions", "version", "files_from"])]
    audio: Vec<PathBuf>,
    #[command(flatten)]
    options: DiarizeArgs,
}

/// Arguments of the commands that diarize and write results.
#[derive(Debug, clap::Args)]
pub struct DiarizeArgs {
    #[command(flatten)]
    speakers: SpeakerCountArgs,

    /// Output formats, separated by commas [default: from the extension of --output, else rttm]
    ///
    /// Formats for reading (srt, vtt, txt, and the list of html) leave out turns shorter than 0.1 s. The others
    /// contain all turns.
    #[arg(short, long, value_enum, value_delimiter = ',', help_heading = "Output")]
    format: Vec<Format>,
    /// Output file, or directory for several results [default: `-`, the standard output]
    ///
    /// A single result is written to this file. Its extension gives the format, unless --format does. The
    /// option can be given several times. With several inputs or formats, or if the path is a directory or
    /// ends in `/`, each result is written to DIR/NAME.FORMAT. Files are written atomically.
    ///
    /// On the standard output, several results follow each other: rttm and stm unchanged, json as one object per
    /// line, in which `file` is the recording, csv below one heading, txt with a heading for each recording.
    #[arg(short, long, value_name = "PATH", help_heading = "Output")]
    output: Vec<PathBuf>,
    /// Include the mean embedding of each speaker (with --format json)
    #[arg(long, help_heading = "Output")]
    embeddings: bool,
    /// Write at most one speaker at a time, for joining with a transcript
    #[arg(long, help_heading = "Output")]
    exclusive: bool,
    /// Where the page gets its audio (with --format html)
    #[arg(long, value_name = "WHERE", value_enum, default_value_t, help_heading = "Output")]
    page_audio: PageAudio,
    /// Add speakers to this transcript and write it instead of the turns
    ///
    /// JSON of openai-whisper, OpenAI, faster-whisper, whisper.cpp, WhisperX or transformers, SRT or WebVTT. For
    /// several recordings, a directory in which each transcript has its recording's name (talk.json for
    /// talk.wav). The transcript is written in its own format, with the speaker of every word and line; names
    /// of speakers that it already has are replaced. --format txt gives text by paragraph, srt and vtt give
    /// subtitles, html gives a page with the text, csv gives rows with the text, and textgrid gives tiers with the text and
    /// the words. Other formats contain the turns without the text. Whisper's word timestamps make the result exact
    /// (--word_timestamps True, or -ojf for whisper.cpp).
    ///
    /// Faults such as missing times are repaired with a warning.
    #[arg(long, value_name = "PATH", conflicts_with = "embeddings", help_heading = "Output")]
    transcript: Option<PathBuf>,
    /// Write each word of a transcript by itself, with its times (with --format csv, srt or vtt)
    ///
    /// Without this option, json and textgrid contain the words too, if their times are known.
    #[arg(long, help_heading = "Output")]
    words: bool,
    #[command(flatten)]
    verbosity: Verbosity,

    #[command(flatten)]
    names: NamesArgs,

    #[command(flatten)]
    batch: BatchArgs,

    #[command(flatten)]
    audio_args: AudioArgs,
    #[command(flatten)]
    channels: ChannelsArgs,
    #[command(flatten)]
    part: PartArgs,

    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    overrides: Overrides,
}

/// How to process many files.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Many files")]
pub struct BatchArgs {
    /// Also search the subdirectories of directories; results keep the folder structure
    #[arg(short, long)]
    recursive: bool,
    /// Read the names of inputs from this file, one per line; `-` is the standard input
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    /// Process only part I of N of the inputs, for N machines or the tasks of a Slurm array
    ///
    /// Inputs are dealt out in turn: 1/3 has the first, the fourth and so on. In a script for `sbatch --array=1-8`, use
    /// `--shard $SLURM_ARRAY_TASK_ID/8`.
    #[arg(long, value_name = "I/N", value_parser = numbers::shard)]
    shard: Option<Shard>,
    /// Number of files to process in parallel; they share the processor threads [default: 1 on the CPU, 4 for each GPU]
    ///
    /// While some files are decoded and clustered on the processor, a GPU runs the networks of others. A GPU with less than 16 GB
    /// of memory gets one file per 4 GB.
    #[arg(short, long, value_name = "N", value_parser = numbers::count::<256>)]
    jobs: Option<NonZeroUsize>,
    /// Skip inputs that already have all their results, for example after an interruption
    #[arg(long, requires = "output")]
    pub skip_existing: bool,
    /// Retry failed files up to N times, after all others
    #[arg(long, value_name = "N", default_value = "0", value_parser = numbers::whole::<0, 100>)]
    pub retry: usize,
    /// Write the names of failed files to this file, for --files-from; after Ctrl-C, also of files without results
    #[arg(long, value_name = "FILE")]
    pub failures: Option<PathBuf>,
}

impl BatchArgs {
    /// The inputs from the arguments and the list.
    fn inputs(&self, mut audio: Vec<PathBuf>) -> Result<Inputs, String> {
        if let Some(list) = &self.files_from {
            if list.as_os_str() == "-" && audio.iter().any(|path| path.as_os_str() == "-") {
                return Err(
                    "the standard input (`-`) can be either the list of inputs or one of them, not both"
                        .to_owned(),
                );
            }
            let text = text::read(list, "a list of files");
            let text = text.map_err(|error| format!("--files-from: {}", failure::sentence(&error)))?;
            audio.extend(inputs::list(&text));
        }
        let found = inputs::find(&audio, self.recursive)?;
        if found.all.iter().filter(|found| found.input == Input::Stdin).count() > 1 {
            return Err("the standard input (`-`) can be read only once".to_owned());
        }
        Ok(Inputs { several: found.several || self.files_from.is_some(), ..found })
    }
}

/// Files to diarize, checked as far as possible without reading the audio.
#[derive(Debug)]
pub struct Job {
    /// The inputs, in the order given.
    pub inputs: Inputs,
    /// How to process them.
    pub batch: BatchArgs,
    /// Number of files to process in parallel.
    pub files_at_once: usize,
    /// The destinations of each input's results.
    pub destinations: Destinations,
    /// How results are written.
    pub style: Style,
    /// The transcript to which speakers are added.
    pub transcript: Option<PathBuf>,
    /// How to find the words.
    #[cfg(feature = "words")]
    pub recognition: Option<crate::recognition::Recognition>,
    /// How speakers get names.
    pub names: NamesArgs,
    /// How to read the audio.
    pub audio: AudioArgs,
    /// How channels become speakers.
    pub channels: ChannelsArgs,
    /// The part of each recording to diarize, in seconds.
    pub part: Range<f64>,
    /// The model and the device.
    pub model: ModelArgs,
    /// The number of speakers, as far as known.
    pub speakers: SpeakerCountArgs,
    /// Hyper-parameters.
    pub overrides: Overrides,
    /// How much is reported.
    pub verbosity: Verbosity,
}

impl Job {
    /// Whether results contain transcripts.
    pub fn has_transcripts(&self) -> bool {
        self.finds_words() || self.transcript.is_some()
    }

    /// Whether words are found, not only speakers.
    pub fn finds_words(&self) -> bool {
        #[cfg(feature = "words")]
        return self.recognition.is_some();
        #[cfg(not(feature = "words"))]
        false
    }
}

impl Args {
    /// Checks the combination of arguments. Errors are usage errors.
    pub fn into_job(self) -> Result<Job, clap::Error> {
        if self.options.words && self.options.transcript.is_none() {
            return Err(conflict("--words needs a transcript: use `diarize transcribe` or --transcript"));
        }
        self.options.into_job(self.audio, Format::default())
    }
}

impl DiarizeArgs {
    /// The given option, if any, that makes no sense when words are recognized.
    #[cfg(feature = "words")]
    pub fn option_without_words(&self) -> Option<&'static str> {
        let options = [
            self.transcript.as_ref().map(|_| "--transcript"),
            self.embeddings.then_some("--embeddings"),
            self.channels.is_separate().then_some("--channels separate"),
        ];
        options.into_iter().flatten().next()
    }

    /// An option for finding out who speaks, if any is given.
    fn needless_option(&self) -> Option<&'static str> {
        let embeddings = self.embeddings.then_some("--embeddings");
        let options = [self.speakers.option(), self.overrides.clustering_option(), self.names.option()];
        options.into_iter().flatten().chain(embeddings).next()
    }

    /// Checks options that exclude each other.
    fn check_options(&self, audio: &[PathBuf]) -> Result<(), clap::Error> {
        self.channels.check().map_err(conflict)?;
        self.speakers.check().map_err(conflict)?;
        if let Some(error) = audio.first().and_then(|first| misplaced(first)) {
            return Err(error);
        }
        if let Some(option) = self.needless_option().filter(|_| self.channels.is_separate()) {
            return Err(conflict(format!(
                "{option} has no meaning with --channels separate: each channel is one speaker, and voices are not \
                 compared"
            )));
        }
        if self.batch.skip_existing && self.names.link_within_run() {
            return Err(conflict(
                "--link-speakers does not know the speakers of skipped results: store them in a file with \
                 --link-speakers=FILE",
            ));
        }
        Ok(())
    }

    /// Number of files to process in parallel. Without `--jobs`, it is lowered so that there are not too many threads.
    fn files_at_once(&self, inputs: &Inputs) -> Result<usize, clap::Error> {
        let (all, each) = (inputs.all.len().max(1), self.model.threads().unwrap_or(1));
        let Some(jobs) = self.batch.jobs else {
            if all == 1 {
                return Ok(1); // A GPU need not be asked for its memory.
            }
            let most = (numbers::MOST_THREADS / each).max(1);
            return Ok(self.model.devices().recordings_at_once().min(all).min(most));
        };
        let jobs = jobs.get().min(all);
        match jobs * each > numbers::MOST_THREADS {
            true => Err(conflict(format!(
                "--jobs times --threads is {} threads, but at most {} are possible: lower one of the two",
                jobs * each,
                numbers::MOST_THREADS
            ))),
            false => Ok(jobs),
        }
    }

    /// Checks options that depend on the number of recordings.
    fn check_inputs(&self, inputs: &Inputs) -> Result<(), clap::Error> {
        if self.transcript.as_ref().is_some_and(|path| !path.is_dir()) && inputs.several {
            return Err(conflict(
                "--transcript is a single file, but there are several recordings: use a directory",
            ));
        }
        Ok(())
    }

    /// Checks that results can be written, and that they replace nothing that is read.
    fn check_destinations(&self, inputs: &Inputs, destinations: &Destinations) -> Result<(), clap::Error> {
        let outputs = || destinations.iter().flatten();
        if self.batch.skip_existing && outputs().any(|output| output.file().is_none()) {
            return Err(conflict(
                "--skip-existing needs results in files, but --output is the standard output",
            ));
        }
        if self.embeddings && !outputs().any(|output| output.format == Format::Json) {
            return Err(conflict("--embeddings needs --format json"));
        }
        if self.words && !outputs().any(|output| output.format.has_word_level()) {
            return Err(conflict(
                "--words needs --format csv, srt or vtt; json and textgrid contain the words without it",
            ));
        }
        let failures = self.batch.failures.as_deref();
        for (what, file) in self.files_read(inputs) {
            if destinations.overwrite(&file) {
                return Err(conflict(format!("--output would overwrite {what} {}", file.display())));
            }
            // A list of failed files may replace the list that was read: only they remain to be done.
            let replaces = |failures| what != "--files-from" && output::is_same_file(failures, &file);
            if failures.is_some_and(replaces) {
                return Err(conflict(format!("--failures would overwrite {what} {}", file.display())));
            }
        }
        destinations.check().map_err(conflict)?;
        if let Some(list) = failures {
            output::check_file(list).map_err(conflict)?;
            if destinations.overwrite(list) {
                return Err(conflict(format!("--output and --failures would both write {}", list.display())));
            }
        }
        Ok(())
    }

    /// The files that are read besides the recordings, and what they are.
    fn files_read(&self, inputs: &Inputs) -> Vec<(&'static str, PathBuf)> {
        let mut files = Vec::new();
        if let Some(path) = &self.transcript {
            let inputs = inputs.all.iter().map(|found| &found.input);
            let file = |input| if path.is_dir() { in_directory(path, input) } else { Some(path.clone()) };
            files.extend(inputs.filter_map(file).map(|file| ("the transcript", file)));
        }
        files.extend(self.batch.files_from.clone().map(|list| ("--files-from", list)));
        files.extend(self.names.link_file().map(|file| ("--link-speakers", file.to_owned())));
        files
    }

    /// Checks the combination of arguments. Errors are usage errors. `format` is the one if nothing says which.
    pub fn into_job(self, audio: Vec<PathBuf>, format: Format) -> Result<Job, clap::Error> {
        self.check_options(&audio)?;
        let part = self.part.range().map_err(conflict)?;
        let mut inputs = self.batch.inputs(audio).map_err(conflict)?;
        self.check_inputs(&inputs)?;
        let format = self.transcript.as_deref().map_or(format, Transcript::format_of_file);
        let mut destinations =
            Destinations::plan(&inputs, &self.output, &self.format, format).map_err(conflict)?;
        self.check_destinations(&inputs, &destinations)?;
        // The checks have seen all inputs, so that no two parts write the same file.
        if let Some(shard) = self.batch.shard {
            destinations.keep(|input| shard.has(input));
            inputs.keep(|input| shard.has(input));
        }
        let files_at_once = self.files_at_once(&inputs)?;
        Ok(Job {
            style: Style {
                embeddings: self.embeddings,
                exclusive: self.exclusive,
                words: self.words,
                page_audio: self.page_audio,
            },
            transcript: self.transcript,
            #[cfg(feature = "words")]
            recognition: None,
            names: self.names,
            inputs,
            batch: self.batch,
            files_at_once,
            destinations,
            audio: self.audio_args,
            channels: self.channels,
            part,
            model: self.model,
            speakers: self.speakers,
            overrides: self.overrides,
            verbosity: self.verbosity,
        })
    }
}
