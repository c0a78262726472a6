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
  diarize meeting.wav                          who spoke when, as RTTM on the standard output
  diarize --format txt meeting.mp3             the same for people to read
  diarize -o meeting.html meeting.mp3          a page to look at, listen to and correct
  diarize --transcript talk.json talk.wav      Whisper's words with their speakers
  diarize --num-speakers 2 call.m4a            the number of speakers is known
  diarize --identify speakers.safetensors talk.mp3
                                               names those whom `diarize enroll` knows
  diarize -f rttm,json -o results/ *.flac      results/NAME.rttm and NAME.json for every file
  diarize -r --skip-existing -o results/ day/  every file below day/ that has no result yet
  diarize -o talk.srt -o talk.csv talk.mp3     the format is that of the extension
  diarize --model my-model --embedding-trunk shared long.mp3
                                               several times faster, embeddings a little different
  diarize --clustering spectral talk.mp3       another way to tell the voices apart
  diarize --clustering agglomerative --set linkage=average --set threshold=0.5 talk.mp3
  ffmpeg -i talk.opus -f wav - | diarize -     any format that ffmpeg reads
  diarize ./man                                a recording that is called like a command

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

    /// Take settings from this file [default: ./diarize.toml, else that of the user]
    ///
    /// Long names of options with their values, such as `model = "my-model"`; a table such as [score] has
    /// those of a command. Variables such as DIARIZE_MODEL come before the file, arguments before both.
    #[arg(long, value_name = "FILE", global = true, help_heading = "Settings")]
    config: Option<std::path::PathBuf>,
    /// Print the completions of a shell, to be sourced or put where the shell looks for them
    #[arg(long, value_name = "SHELL", exclusive = true)]
    completions: Option<Shell>,
    /// Print version, features, devices and the model in the box
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
    /// How right results are: DER, JER, numbers of speakers
    Score(score::Args),
    /// Which parameters are best for recordings whose turns are known
    Tune(tune::Args),
    /// Give a voice a name, by which --identify finds it
    Enroll(enroll::Args),
    /// Whose voices are known; rename or remove some
    Speakers(speakers::Args),
    /// When somebody speaks
    #[command(after_help = regions::VAD_EXAMPLES)]
    Vad(regions::Args),
    /// When several people speak at once
    #[command(after_help = regions::OVERLAP_EXAMPLES)]
    Overlap(regions::Args),
    /// What a voice sounds like, as a vector
    Embed(embed::Args),
    /// Which models there are, and what they are
    Model(model::Args),
    /// Which operations a device can do, how exactly and how fast
    Ops(ops::Args),
    /// The manual as man pages
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
