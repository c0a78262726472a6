//! Which files have text without a result, so that the program can name them if it is stopped.

use std::{
    collections::BTreeSet,
    mem,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Such files, shared by all threads.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<BTreeSet<PathBuf>>>);

impl Kept {
    fn files(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a file.
    #[cfg(feature = "words")]
    pub fn add(&self, file: PathBuf) {
        self.files().insert(file);
    }

    /// Takes a file out, and calls `remove`.
    #[cfg(feature = "words")]
    pub fn remove(&self, file: &std::path::Path, remove: impl FnOnce()) {
        let mut files = self.files();
        files.remove(file);
        remove();
    }

    /// Calls `tell` with the files. Then none is added or removed anymore, so the program must end.
    pub fn tell_last(&self, tell: impl FnOnce(&BTreeSet<PathBuf>)) {
        let files = self.files();
        tell(&files);
        mem::forget(files);
    }
}
