//! Ctrl-C: the first finishes the current file, the second abandons it. Neither leaves a part of a result, but a transcript's text so
//! far stays in a file of its own.
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

/// From now on, the first Ctrl-C calls `notify`, and the current file is finished. If it is not `worth_finishing`, the first
/// Ctrl-C ends the program. `abandon` is called before the program ends.
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
