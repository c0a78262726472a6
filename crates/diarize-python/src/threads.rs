//! The threads that compute, which all recordings share.
//!
//! A process that is forked gets the memory of the other one, but not its threads: a computation that waits for them never
//! ends. So the threads belong to a process, and another one starts its own. Rayon's global threads, which could not be replaced,
//! are never used.

use std::{
    mem, process,
    sync::{Arc, Mutex, PoisonError},
};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::failure::Failure;

/// The process and its threads.
static POOL: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Runs `work` on the threads of this process.
pub fn run<T: Send>(work: impl FnOnce() -> Result<T, Failure> + Send) -> Result<T, Failure> {
    pool()?.install(work)
}

fn pool() -> Result<Arc<ThreadPool>, Failure> {
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    match &*pool {
        Some((id, pool)) if *id == process::id() => return Ok(pool.clone()),
        _ => {}
    }
    let new = ThreadPoolBuilder::new().thread_name(|index| format!("diarize-{index}")).build();
    let new =
        new.map_err(|error| Failure::Other("ComputationError", format!("cannot start threads: {error}")))?;
    let new = Arc::new(new);
    // The threads of another process cannot be ended here.
    mem::forget(pool.replace((process::id(), new.clone())));
    Ok(new)
}
