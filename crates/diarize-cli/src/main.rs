//! Who spoke when, from the command line.

use std::{io, process::ExitCode};

use clap::{CommandFactory, Parser};
use diarize_cli::{
    args::{Args, Mode},
    run,
};

fn main() -> ExitCode {
    match Args::parse()
        .into_mode()
        .unwrap_or_else(|usage| usage.exit())
    {
        Mode::Completions(shell) => {
            clap_complete::generate(shell, &mut Args::command(), "diarize", &mut io::stdout());
            ExitCode::SUCCESS
        }
        Mode::Diarize(job) => run::run(&job),
    }
}
