//! The command-line program: finds out who spoke when.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use ::mimalloc::MiMalloc;
use clap::CommandFactory;
use clap_complete::Shell;
use diarize_cli::{
    commands::{
        Cli, Command, embed, enroll, man, model, ops,
        regions::{self, Kind},
        score, show, speakers, tune, version,
    },
    config, failure, run,
};
use diarize_kernels::mimalloc;

/// Returns more of the networks' unused memory before clustering than glibc does. Without transparent huge
/// pages (`no_thp`) it returns even more, at no cost in speed. With version 2 (feature `v2`), the program took 10 % more
/// time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// On two threads, this saves 20 MB compared with mimalloc's default of a second. 10 ms would save 20 MB more.
const RETURN_MEMORY_AFTER: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    mimalloc::return_memory_after(RETURN_MEMORY_AFTER);
    let command = config::parse::<Cli>().map(Cli::into_command);
    command.and_then(run_command).unwrap_or_else(|error| match error.downcast::<clap::Error>() {
        Ok(usage) => usage.exit(),
        Err(error) => {
            eprintln!("diarize: {}", failure::sentence(&error));
            ExitCode::FAILURE
        }
    })
}

fn run_command(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Diarize(args) => Ok(run::run(&args.into_job()?)),
        Command::Completions(shell) => Ok(completions(shell)),
        Command::Version => version::run(),
        Command::Score(args) => score::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Vad(args) => regions::run(Kind::Speech, &args),
        Command::Overlap(args) => regions::run(Kind::Overlap, &args),
        Command::Enroll(args) => enroll::run(&args),
        Command::Speakers(args) => speakers::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Ops(args) => ops::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

fn completions(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "diarize", &mut script);
    // A closed pipe is not an error: the reader has read enough.
    let _ = io::stdout().write_all(&script);
    ExitCode::SUCCESS
}
