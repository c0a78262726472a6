//! A setting of the allocator mimalloc, for programs that use it.

use std::{ffi::c_long, time::Duration};

/// `mi_option_purge_delay` of `mi_option_e` in mimalloc's `mimalloc.h`. The version of `libmimalloc-sys` is fixed
/// because of this number.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// Makes mimalloc return memory to the operating system when it has been unused for `delay`, rounded to
/// milliseconds. The default of version 3 is a second.
///
/// Call it at the start of `main`, before other threads exist, since mimalloc does not synchronize its options.
pub fn return_memory_after(delay: Duration) {
    let milliseconds = c_long::try_from(delay.as_millis()).unwrap_or(c_long::MAX);
    // SAFETY: the index is in range, and the value is a plain number that mimalloc reads anew each time.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, milliseconds) };
}
