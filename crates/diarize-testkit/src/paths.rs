//! Where files are that tests read.

use std::path::{Path, PathBuf};

/// A path of this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A path in the folder `shared` next to the checkout, which holds what is too large for the repository.
/// Tests that need it are ignored unless asked for.
///
/// # Panics
/// If it is not there.
pub fn shared(path: &str) -> PathBuf {
    let path = repository("../shared").join(path);
    assert!(path.exists(), "this test needs {}", path.display());
    path
}
