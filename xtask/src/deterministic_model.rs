//! `cargo xtask deterministic-model`: a model directory whose weights follow from a formula.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use diarize_testkit::deterministic_model;

/// Write a model directory whose weights are given by a formula and a seed
#[derive(Args, Debug)]
pub struct DeterministicModel {
    /// Directory to write, made where it is missing
    output: PathBuf,
    /// Seed of the weights
    #[arg(long, default_value_t = 5)]
    seed: u64,
}

impl DeterministicModel {
    /// Runs the command.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn run(&self) -> Result<()> {
        deterministic_model::write(&self.output, self.seed)
    }
}
