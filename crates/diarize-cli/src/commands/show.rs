//! `diarize show`: draws results in the terminal.

use std::{
    env,
    io::{self, IsTerminal},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;

use crate::{excerpts::time, labels, numbers, output, timeline::Drawing};

/// Number of columns if neither the terminal nor the user gives one.
const WIDTH: usize = 100;

const EXAMPLES: &str = "\
Examples:
  diarize show meeting.rttm                    one lane per speaker, as wide as the terminal
  diarize show --from 10:00 --to 12:00 meeting.json
  diarize meeting.wav | diarize show -         from a pipe
  diarize show reference.rttm meeting.rttm     one below the other

The height of a lane shows how much of the time the speaker speaks; `overlap` is where several people do.";

/// Arguments of `diarize show`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Results in RTTM, STM, ELAN or this program's JSON; `-` is the standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Start at this time, such as 90, 1:30 or 1:02:03
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<f64>,
    /// Stop at this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<f64>,
    /// Number of columns [default: the width of the terminal]
    #[arg(long, value_name = "N", value_parser = numbers::whole::<1, 10_000>)]
    width: Option<usize>,
    /// When to use colors
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = clap::ColorChoice::Auto)]
    color: clap::ColorChoice,
}

/// Draws the files.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let seconds = args.from.unwrap_or(0.0)..args.to.unwrap_or(f64::INFINITY);
    if seconds.start >= seconds.end {
        return Err(super::conflict("--from must be before --to").into());
    }
    let colors = match args.color {
        clap::ColorChoice::Always => true,
        clap::ColorChoice::Never => false,
        clap::ColorChoice::Auto => {
            io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    let terminal = || terminal_size::terminal_size().map(|(columns, _)| usize::from(columns.0));
    let width = args.width.or_else(terminal).unwrap_or(WIDTH);
    let drawing = Drawing { width, colors, seconds };
    let mut pictures = Vec::new();
    for file in &args.files {
        let named = || file.display().to_string();
        let timelines = labels::timelines(file)?;
        if timelines.is_empty() {
            pictures.push(format!("{}: no turns\n", named()));
        }
        for timeline in timelines {
            pictures.push(timeline.draw(&drawing).with_context(named)?);
        }
    }
    output::print(pictures.join("\n").as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
