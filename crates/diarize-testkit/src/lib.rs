//! Code shared by the tests, benches and `xtask` of this project: a model with computed weights, golden
//! files of pyannote.audio, recordings, and repeatable random numbers. Never published.
//!
//! The crates under test depend on this one for their tests, and this one depends on them. Cargo allows
//! that, but the unit tests within `crates/diarize` are compiled as a second copy of that crate, so they
//! can only use functions without the library's types in their signatures.

#![forbid(unsafe_code)]

#[cfg(feature = "pipeline")]
pub mod der;
#[cfg(feature = "pipeline")]
pub mod deterministic_model;
#[cfg(feature = "pipeline")]
mod device;
#[cfg(feature = "pipeline")]
mod found;
mod golden;
mod instructions;
mod paths;
mod process;
mod random;
#[cfg(feature = "pipeline")]
mod same_turns;
pub mod signal;
pub mod wav;

#[cfg(feature = "pipeline")]
pub use self::{
    device::device,
    found::{Found, cluster, diarize, embed},
    same_turns::assert_same_turns,
};
pub use self::{
    golden::{Element, Golden},
    instructions::run_with_each,
    paths::{repository, shared},
    process::{alone, rerun},
    random::Random,
};
