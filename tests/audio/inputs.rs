//! Inputs of the tests.

use std::path::PathBuf;

use diarize_testkit::repository;

/// A file of `tests/data/formats`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    repository("tests/data/formats").join(name)
}
