//! The project's own commands, one file per command.

pub mod deterministic_model;
