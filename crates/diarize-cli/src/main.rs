//! Who spoke when, from the command line.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use clap_complete::Shell;
use diarize_cli::{
    args::{Args, Mode},
    run,
};

fn main() -> ExitCode {
    match Args::parse().into_mode().unwrap_or_else(|usage| usage.exit()) {
        Mode::Completions(shell) => {
            completions(shell);
            ExitCode::SUCCESS
        }
        Mode::Diarize(job) => run::run(&job),
    }
}

fn completions(shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "diarize", &mut script);
    // A reader that closed the pipe has seen enough.
    let _ = io::stdout().write_all(&script);
}
