//! Input files of the tests.

use std::path::PathBuf;

use diarize_testkit::repository;

/// The path of a file in `tests/data/formats`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    repository("tests/data/formats").join(name)
}
