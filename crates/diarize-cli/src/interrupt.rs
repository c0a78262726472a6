//! Ctrl-C: the current file is finished; pressed again, it is abandoned. Neither leaves half a file.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::output::exit_after_write;

/// What shells give for a program that Ctrl-C has ended.
pub const EXIT_CODE: u8 = 130;

static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether somebody pressed Ctrl-C.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// From now on the first Ctrl-C calls `tell` and waits for the current file. Without others to come, there
/// is nothing to wait for.
pub fn listen(several: bool, tell: impl Fn() + Send + 'static) {
    let handler = move || {
        if ASKED.swap(true, Ordering::Relaxed) || !several {
            exit_after_write(EXIT_CODE.into());
        }
        tell();
    };
    // Where signals cannot be caught, Ctrl-C ends the program as ever.
    let _ = ctrlc::set_handler(handler);
}
