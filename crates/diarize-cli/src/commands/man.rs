//! `diarize man`: the man pages.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::{commands::Cli, output};

const EXAMPLES: &str = "\
Examples:
  diarize man | man -l -                               reads the manual
  diarize man --output /usr/local/share/man/man1       installs all pages";

/// Arguments of `diarize man`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Directory for the man pages of all commands [default: print only the main page]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// The command line with the version that pages show.
fn command() -> Command {
    Cli::command().version(env!("CARGO_PKG_VERSION"))
}

/// Prints or writes the pages.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match args.output.as_deref().filter(|directory| !output::is_stdout(directory)) {
        Some(directory) => {
            fs::create_dir_all(directory)
                .and_then(|()| clap_mangen::generate_to(command(), directory))
                .with_context(|| format!("cannot write man pages to {}", directory.display()))?;
        }
        None => {
            let mut page = Vec::new();
            Man::new(command()).render(&mut page)?;
            output::print(&page)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
