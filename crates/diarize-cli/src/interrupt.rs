//! Ctrl-C: the first finishes the current file, the second abandons it. Neither leaves a part of a result.
//!
//! The program before a pipe gets Ctrl-C too and ends, so what was read from the standard input is all that there will be.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::output::exit_after_write;

/// The exit code that shells report for a program ended by Ctrl-C.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Whether the user pressed Ctrl-C.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Makes the first Ctrl-C call `notify` and wait for the current file. If that is not `worth_finishing`, the first Ctrl-C
/// already ends the program.
pub fn listen(worth_finishing: bool, notify: impl Fn() + Send + 'static) {
    let handler = move || {
        if REQUESTED.swap(true, Ordering::Relaxed) || !worth_finishing {
            exit_after_write(EXIT_CODE.into());
        }
        notify();
    };
    // If the handler cannot be installed, Ctrl-C ends the program as usual.
    let _ = ctrlc::set_handler(handler);
}
