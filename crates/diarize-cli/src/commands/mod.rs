//! The commands of the program, one file each.

pub mod diarize;
pub mod embed;
pub mod enroll;
pub mod man;
pub mod model;
pub mod ops;
pub mod regions;
pub mod score;
pub mod show;
pub mod speakers;
pub mod split;
#[cfg(feature = "words")]
pub mod transcribe;
pub mod tune;
pub mod version;

use std::{fmt, path::Path};

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use clap_complete::Shell;

use crate::config;

const EXAMPLES: &str = "\
Examples:
  diarize meeting.wav                          who spoke when, as RTTM on the standard output
  diarize --format txt meeting.mp3             the same as readable text
  diarize -o meeting.html meeting.mp3          a page with waveform and player
  diarize --transcript talk.json talk.wav      Whisper's words with their speakers
  diarize --channels separate call.wav         one person per channel
  diarize --num-speakers 2 call.m4a            with a known number of speakers
  diarize --identify speakers.safetensors talk.mp3
                                               with the names of speakers from `diarize enroll`
  diarize -f rttm,json -o results/ *.flac      results/NAME.rttm and NAME.json for every file
  diarize --device cuda:all -o results/ *.flac the files are shared between all GPUs
  diarize -r --skip-existing -o results/ day/  every file below day/ that has no result yet
  diarize -o talk.srt -o talk.csv talk.mp3     the extension gives the format
  diarize --model pyannote/speaker-diarization-3.1 meeting.wav
                                               with pyannote's model; needs an access token in HF_TOKEN
  diarize --model my-model --embedding-trunk shared long.mp3
                                               several times faster, slightly different embeddings
  diarize --clustering spectral talk.mp3       a different clustering method, for long recordings
  diarize --clustering agglomerative --set linkage=average --set threshold=0.5 talk.mp3
  diarize --start 10:00 --end 20:00 talk.mp3   ten minutes of a recording
  ffmpeg -i talk.wma -f wav - | diarize -      any format that ffmpeg reads
  diarize ./man                                a recording with the name of a command

Audio:
  wav and its relatives, flac, mp3, ogg, opus, m4a, mp4, aac, webm, mkv, aiff, caf and au are read
  at any sample rate; channels are averaged, unless --channels or --channel
  says otherwise. Of HE-AAC, only the lower band is used.
  At sample rates other than 16 kHz, results with pyannote's models can differ slightly from those
  of pyannote.audio, which resamples with a shorter filter.

Exit status:
  0  every file was processed
  1  a file failed (the others were processed), or the model is damaged
  2  the command line is wrong, or names a model or device that is not there; nothing was processed
  130  interrupted by Ctrl-C before every file was processed";

/// Find out who spoke when in a recording
///
/// The bundled model is this project's own: it is good on clear speech and weaker than pyannote's models on
/// hard meetings. To use theirs, run `diarize model download community-1` once and add `--model community-1`.
#[derive(Debug, Parser)]
#[command(name = "diarize", after_long_help = EXAMPLES, max_term_width = 110)]
#[command(
    disable_version_flag = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    diarize: diarize::Args,

    /// Read settings from this file [default: ./diarize.toml, else the user's diarize.toml]
    ///
    /// The file sets options by their long names, such as `model = "my-model"`, with `-` or `_` between words; a
    /// table such as [score] sets the options of a command. Environment variables such as DIARIZE_MODEL take precedence over the file,
    /// and arguments take precedence over both.
    #[arg(long, value_name = "FILE", global = true, help_heading = "Settings")]
    config: Option<std::path::PathBuf>,
    /// Print a completion script for a shell
    #[arg(long, value_name = "SHELL", exclusive = true)]
    completions: Option<Shell>,
    /// Print the version, features, devices and the bundled model
    #[arg(short = 'V', long, exclusive = true)]
    version: bool,
}

/// The command that the command line asks for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Diarize files, the default command.
    #[command(skip)]
    Diarize(Box<diarize::Args>),
    /// Print shell completions.
    #[command(skip)]
    Completions(Shell),
    /// Print the version, features, devices and the bundled model.
    #[command(skip)]
    Version,
    /// Transcribe files: what was said, by whom and when
    #[cfg(feature = "words")]
    #[command(after_help = transcribe::EXAMPLES)]
    Transcribe(Box<transcribe::Args>),
    /// Draw results in the terminal
    Show(show::Args),
    /// Score results against a reference: DER, JER and speaker counts
    Score(score::Args),
    /// Find the best parameters on recordings with known turns
    Tune(tune::Args),
    /// Store a person's voice, for --identify
    Enroll(enroll::Args),
    /// List, rename or remove stored voices
    Speakers(speakers::Args),
    /// Find when somebody speaks
    #[command(after_help = regions::VAD_EXAMPLES)]
    Vad(regions::Args),
    /// Find when several people speak at once
    #[command(after_help = regions::OVERLAP_EXAMPLES)]
    Overlap(regions::Args),
    /// Write the audio of each speaker
    Split(split::Args),
    /// Extract speaker embeddings
    Embed(embed::Args),
    /// Show, list, download and remove models
    Model(model::Args),
    /// Test every operation on a device: accuracy and speed
    Ops(ops::Args),
    /// Print or write the man pages
    Man(man::Args),
}

impl Cli {
    /// The given command, or the default one.
    pub fn into_command(self) -> Command {
        match (self.command, self.completions) {
            (Some(command), _) => command,
            (None, Some(shell)) => Command::Completions(shell),
            (None, None) if self.version => Command::Version,
            (None, None) => Command::Diarize(Box::new(self.diarize)),
        }
    }
}

/// The usage error if a recording is a command that does not come first, or a mistyped one.
fn misplaced(recording: &Path) -> Option<clap::Error> {
    let word = recording.to_str().filter(|word| !word.contains(['.', '/', '\\']) && !recording.exists())?;
    let cli = Cli::command();
    let name = config::similar(word, cli.get_subcommands().map(clap::Command::get_name))?;
    Some(conflict(match name == word {
        true => {
            format!("there is no file {word}, and the command comes before all options: `diarize {word} ...`")
        }
        false => format!("there is no file {word}: did you mean the command `diarize {name}`?"),
    }))
}

/// A usage error: arguments that cannot be combined.
pub fn conflict(message: impl fmt::Display) -> clap::Error {
    clap::Error::raw(ErrorKind::ArgumentConflict, format!("{message}\n"))
}
