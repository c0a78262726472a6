//! `cargo xtask <command>`: the project's own commands, one file per command.

mod bench;
mod calibrate;
mod check_metal;
mod convert_weights;
mod deterministic_model;
mod gpu_work;
mod labeled;
mod recording;
mod score;
mod wheel;

use std::process::ExitCode;

use clap::Parser;
use diarize_cli::failure;

use crate::{
    bench::Bench, calibrate::Calibrate, check_metal::CheckMetal, convert_weights::ConvertWeights,
    deterministic_model::DeterministicModel, gpu_work::GpuWork, score::Score, wheel::Wheel,
};

/// Development commands of the diarize project
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    Bench(Bench),
    Calibrate(Calibrate),
    CheckMetal(CheckMetal),
    ConvertWeights(ConvertWeights),
    DeterministicModel(DeterministicModel),
    GpuWork(GpuWork),
    Score(Score),
    Wheel(Wheel),
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Bench(command) => command.run(),
        Command::Calibrate(command) => command.run(),
        Command::CheckMetal(command) => command.run(),
        Command::ConvertWeights(command) => command.run(),
        Command::DeterministicModel(command) => command.run(),
        Command::GpuWork(command) => command.run(),
        Command::Score(command) => command.run(),
        Command::Wheel(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            failure::tell(format_args!("error: {}", failure::sentence(&error)));
            ExitCode::FAILURE
        }
    }
}
