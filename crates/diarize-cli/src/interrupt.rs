//! Ctrl-C: the first finishes the current file, the second abandons it. Neither leaves a part of a result.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::output::exit_after_write;

/// The exit code that shells report for a program ended by Ctrl-C.
pub const EXIT_CODE: u8 = 130;

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Whether the user pressed Ctrl-C.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Makes the first Ctrl-C call `notify` and wait for the current file. With only one file, the first Ctrl-C
/// already ends the program.
pub fn listen(several: bool, notify: impl Fn() + Send + 'static) {
    let handler = move || {
        if REQUESTED.swap(true, Ordering::Relaxed) || !several {
            exit_after_write(EXIT_CODE.into());
        }
        notify();
    };
    // If the handler cannot be installed, Ctrl-C ends the program as usual.
    let _ = ctrlc::set_handler(handler);
}
