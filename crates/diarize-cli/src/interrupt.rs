//! Ctrl-C: the first finishes the current file, the second abandons it. Neither leaves an incomplete
//! result. If words are recognized, the text so far stays in a file of its own.
//!
//! If the standard input is a pipe, the program that writes to it gets Ctrl-C too and ends. So the recording ends there.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::output::exit_after_write;

/// The exit code that shells report for a program ended by Ctrl-C.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Whether the user pressed Ctrl-C.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Handles Ctrl-C from now on. The first Ctrl-C calls `notify`, and the program finishes the current file; if the file is not
/// `worth_finishing`, the program ends. The second Ctrl-C always ends it. `abandon` is called before the program ends.
pub fn listen(
    worth_finishing: bool,
    notify: impl Fn() + Send + 'static,
    abandon: impl Fn() + Send + 'static,
) {
    let handler = move || {
        if REQUESTED.swap(true, Ordering::Relaxed) || !worth_finishing {
            abandon();
            exit_after_write(EXIT_CODE.into());
        }
        notify();
    };
    // If the handler cannot be installed, Ctrl-C ends the program as usual.
    let _ = ctrlc::set_handler(handler);
}
