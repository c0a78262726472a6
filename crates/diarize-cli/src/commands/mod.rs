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
pub mod tune;
pub mod version;

use std::fmt;

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  diarize meeting.wav                          who spoke when, as RTTM on standard output
  diarize --format txt meeting.mp3             the same as readable text
  diarize -o meeting.html meeting.mp3          a page to view, play and correct
  diarize --transcript talk.json talk.wav      Whisper's words with their speakers
  diarize --num-speakers 2 call.m4a            with a known number of speakers
  diarize --identify speakers.safetensors talk.mp3
                                               with names of voices that `diarize enroll` stored
  diarize -f rttm,json -o results/ *.flac      results/NAME.rttm and NAME.json for every file
  diarize -r --skip-existing -o results/ day/  every file below day/ without results
  diarize -o talk.srt -o talk.csv talk.mp3     formats given by the extensions
  diarize --model my-model --embedding-trunk shared long.mp3
                                               several times faster, embeddings slightly different
  diarize --clustering spectral talk.mp3       another clustering method
  diarize --clustering agglomerative --set linkage=average --set threshold=0.5 talk.mp3
  ffmpeg -i talk.opus -f wav - | diarize -     any format that ffmpeg reads
  diarize ./man                                a recording with the name of a command

Audio:
  wav, flac, mp3, ogg vorbis, m4a (aac, alac), aiff, caf and mkv are read at any sample rate;
  channels are averaged. Opus is not read: convert it with ffmpeg first.
  At sample rates other than 16 kHz, results can differ slightly from pyannote.audio's, which
  resamples with a shorter filter.

Exit status:
  0  all files were processed
  1  a file failed (the others were processed), or the model or device cannot be used
  2  the command line is invalid; nothing was done";

/// Find out who spoke when in a recording.
///
/// The bundled model is this project's own: good on clear speech, weaker than pyannote's on hard meetings.
/// `--model pyannote/speaker-diarization-3.1` takes theirs, once HF_TOKEN holds a token (see README.md), and
/// then the results are those of pyannote.audio.
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

    /// Read settings from this file [default: ./diarize.toml, otherwise the user's]
    ///
    /// The file has long option names with their values, such as `model = "my-model"`; a table such as [score] has
    /// those of a command. Variables such as DIARIZE_MODEL override the file; arguments override both.
    #[arg(long, value_name = "FILE", global = true, help_heading = "Settings")]
    config: Option<std::path::PathBuf>,
    /// Print completions for a shell, to be sourced or saved where the shell looks for them
    #[arg(long, value_name = "SHELL", exclusive = true)]
    completions: Option<Shell>,
    /// Print version, features, devices and the bundled model
    #[arg(short = 'V', long, exclusive = true)]
    version: bool,
}

/// What the command line asks for.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Diarize files: what happens where no command is named.
    #[command(skip)]
    Diarize(Box<diarize::Args>),
    /// Print shell completions.
    #[command(skip)]
    Completions(Shell),
    /// Print what this program is.
    #[command(skip)]
    Version,
    /// Draw results in the terminal
    Show(show::Args),
    /// Score results against a reference: DER, JER, numbers of speakers
    Score(score::Args),
    /// Find the best parameters on recordings with known turns
    Tune(tune::Args),
    /// Store a voice under a name, for --identify
    Enroll(enroll::Args),
    /// List, rename or remove stored voices
    Speakers(speakers::Args),
    /// Find out when anybody speaks
    #[command(after_help = regions::VAD_EXAMPLES)]
    Vad(regions::Args),
    /// Find out when several people speak at once
    #[command(after_help = regions::OVERLAP_EXAMPLES)]
    Overlap(regions::Args),
    /// Extract speaker embeddings
    Embed(embed::Args),
    /// List, describe and download models
    Model(model::Args),
    /// Test every operation on a device: accuracy and speed
    Ops(ops::Args),
    /// Print or write man pages
    Man(man::Args),
}

impl Cli {
    /// The command that was named, or the default one.
    pub fn into_command(self) -> Command {
        match (self.command, self.completions) {
            (Some(command), _) => command,
            (None, Some(shell)) => Command::Completions(shell),
            (None, None) if self.version => Command::Version,
            (None, None) => Command::Diarize(Box::new(self.diarize)),
        }
    }
}

/// A usage error: arguments that do not go together.
pub fn conflict(message: impl fmt::Display) -> clap::Error {
    Cli::command().error(ErrorKind::ArgumentConflict, message)
}
