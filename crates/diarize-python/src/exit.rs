//! The end of the interpreter, which waits for the calls of daemon threads.
//!
//! Up to Python 3.13, a thread that asks for Python's lock after the interpreter has ended is ended by `pthread_exit`, and the
//! process crashes if Rust functions are on its stack. So the calls of other threads are cancelled first, and new ones are refused.

use std::{
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use diarize::Error;
use pyo3::prelude::*;

use crate::failure::Failure;

/// How long the end waits for calls. A hook can take any time.
const PATIENCE: Duration = Duration::from_secs(10);

/// The thread that ends the interpreter.
static EXITING: OnceLock<ThreadId> = OnceLock::new();

/// The upper half is the process, and the lower half is the number of its calls. A forked process inherits this memory, but not the
/// threads that run the calls.
static RUNNING: AtomicU64 = AtomicU64::new(0);

/// A call that releases Python's lock.
pub struct Running;

impl Running {
    /// Begins a call, which fails if the interpreter is ending.
    pub fn begin() -> Result<Self, Failure> {
        count(|calls| calls + 1);
        let running = Self;
        check()?;
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        count(|calls| calls.saturating_sub(1));
    }
}

/// Fails if another thread is ending the interpreter.
pub fn check() -> Result<(), Failure> {
    match EXITING.get() {
        Some(&thread) if thread != thread::current().id() => Err(Error::Cancelled.into()),
        _ => Ok(()),
    }
}

/// Cancels the calls of other threads and waits until they have ended. Python calls it when it exits.
#[pyfunction]
pub fn end_calls(py: Python<'_>) {
    EXITING.get_or_init(|| thread::current().id());
    let begun = Instant::now();
    py.detach(|| {
        while count(|calls| calls) > 0 && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
    });
}

/// Changes the number of calls of this process, and returns what it was.
fn count(change: impl Fn(u32) -> u32) -> u32 {
    let process = process::id();
    let parts = |state: u64| if state >> 32 == u64::from(process) { state as u32 } else { 0 };
    let joined = |state| u64::from(process) << 32 | u64::from(change(parts(state)));
    let before = RUNNING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |state| Some(joined(state)));
    parts(before.unwrap_or_default())
}
