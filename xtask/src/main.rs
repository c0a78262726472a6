//! `cargo xtask <command>`.

use anyhow::Result;
use clap::Parser;
use xtask::deterministic_model::DeterministicModel;

/// The project's own commands
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    DeterministicModel(DeterministicModel),
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::DeterministicModel(command) => command.run(),
    }
}
