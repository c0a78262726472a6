//! Ctrl-C: the first finishes the current file, the second abandons it. Neither leaves an incomplete
//! result. If words are recognized, the text so far stays in a file of its own.
//!
//! If the standard input is a pipe, the program that writes to it gets Ctrl-C too and ends. So the recording ends there.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tempfile::NamedTempFile;

use crate::output::exit_after_write;

/// The exit code that shells report for a program ended by Ctrl-C.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Temporary files that exist. Ctrl-C ends the program without dropping anything.
static TEMPORARY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn temporary() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    TEMPORARY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file that Ctrl-C removes, too.
#[derive(Debug)]
pub struct Temporary(NamedTempFile);

impl Temporary {
    /// Creates an empty one.
    pub fn new() -> io::Result<Self> {
        let file = NamedTempFile::new()?;
        temporary().insert(file.path().to_owned());
        Ok(Self(file))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The open file.
    pub fn file(&mut self) -> &mut File {
        self.0.as_file_mut()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        temporary().remove(self.0.path());
    }
}

/// Whether the user pressed Ctrl-C.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Handles Ctrl-C from now on. The first Ctrl-C calls `notify`, and the program finishes the current file; if the file is not
/// `worth_finishing`, the program ends. The second Ctrl-C always ends it. `abandon` is called before the program ends. It
/// ends by itself if `abandon` returns `false`.
pub fn listen(
    worth_finishing: bool,
    notify: impl Fn() + Send + 'static,
    abandon: impl Fn() -> bool + Send + 'static,
) {
    let handler = move || {
        if !REQUESTED.swap(true, Ordering::Relaxed) && worth_finishing {
            notify();
        } else if abandon() {
            for file in &*temporary() {
                let _ = fs::remove_file(file);
            }
            exit_after_write(EXIT_CODE.into());
        }
    };
    // If the handler cannot be installed, Ctrl-C ends the program as usual.
    let _ = ctrlc::set_handler(handler);
}
