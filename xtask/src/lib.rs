//! The project's own commands, one file per command.

pub mod bench;
pub mod deterministic_model;
