//! The project's development commands, one file per command.

pub mod bench;
pub mod calibrate;
pub mod check_metal;
pub mod convert_weights;
pub mod deterministic_model;
mod labeled;
mod recording;
pub mod score;
