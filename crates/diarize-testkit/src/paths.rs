//! Locations of the files that tests read.

use std::path::{Path, PathBuf};

/// A path in this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A path in the folder `shared` next to the checkout, which holds files too large for the repository.
/// Tests that need it are ignored by default.
///
/// # Panics
/// If the path does not exist.
pub fn shared(path: &str) -> PathBuf {
    let path = repository("../shared").join(path);
    assert!(path.exists(), "this test needs {}", path.display());
    path
}
