//! Locks for files that several processes change.

use std::{
    fs::{File, TryLockError},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use crate::output::{beside, resolved};

/// How long to wait for another process. It holds the lock only while it reads and writes the file.
const PATIENCE: Duration = Duration::from_secs(20);

/// Held while a file is read, changed and written. Other processes that want to change it wait.
pub struct Lock(#[expect(dead_code, reason = "dropping it releases the lock")] File);

impl Lock {
    /// Waits until no other process holds the lock of a file.
    ///
    /// The lock is on a hidden file beside it, because writing replaces the file itself.
    ///
    /// # Errors
    /// If another process holds the lock for too long, or the hidden file cannot be created.
    pub fn of(path: &Path) -> anyhow::Result<Self> {
        let hidden = beside(&resolved(path), "lock");
        // The file may belong to another user, and reading is enough for a lock.
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&hidden)
            .or_else(|_| File::open(&hidden))
            .with_context(|| format!("cannot write {}", hidden.display()))?;
        wait(&file, path, PATIENCE)?;
        Ok(Self(file))
    }
}

/// Locks a file until it is closed. Waits while another process holds the lock, but not longer than `patience`. `path` is
/// what the lock protects.
///
/// # Errors
/// If another process holds the lock for too long.
pub fn wait(file: &File, path: &Path, patience: Duration) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if begin.elapsed() < patience => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                bail!("another process is using {}: try again when it has ended", path.display())
            }
            // A file system without locks: as if no other process used the file.
            Err(TryLockError::Error(_)) => return Ok(()),
        }
    }
}
