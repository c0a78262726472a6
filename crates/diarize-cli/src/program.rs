//! The program: from a command line to an exit code.

use std::{ffi::OsString, process::ExitCode};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::{
    commands::{
        Cli, Command, embed, enroll, man, model, ops,
        regions::{self, Kind},
        score, show, speakers, split, tune, version,
    },
    config, failure, output, run,
};

/// Runs the command that a command line asks for; its first word is the program. A usage error ends the process.
pub fn run(arguments: &[OsString]) -> ExitCode {
    let (command, sources) = match config::parse::<Cli>(arguments) {
        Ok((cli, sources)) => (Ok(cli.into_command()), sources),
        Err(error) => (Err(error), Vec::new()),
    };
    command.and_then(run_command).unwrap_or_else(|error| match error.downcast::<clap::Error>() {
        Ok(usage) => config::exit(&usage, None, &sources),
        Err(error) => {
            failure::tell(format_args!("error: {}", failure::sentence(&error)));
            let code = failure::exit_code(&error);
            if code == 2 {
                config::tell_sources(&sources);
            }
            ExitCode::from(code)
        }
    })
}

fn run_command(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Diarize(args) => run::run(&args.into_job()?),
        #[cfg(feature = "words")]
        Command::Transcribe(args) => run::run(&args.into_job()?),
        Command::Completions(shell) => completions(shell),
        Command::Version => version::run(),
        Command::Score(args) => score::run(&args),
        Command::Tune(args) => tune::run(&args),
        Command::Vad(args) => regions::run(Kind::Speech, &args),
        Command::Overlap(args) => regions::run(Kind::Overlap, &args),
        Command::Enroll(args) => enroll::run(&args),
        Command::Speakers(args) => speakers::run(&args),
        Command::Split(args) => split::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Ops(args) => ops::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "diarize", &mut script);
    output::print(&script)?;
    Ok(ExitCode::SUCCESS)
}
