//! Compiled kernels, kept in a folder so that later processes need not compile them again.
//!
//! The folder is the one that `DIARIZE_CACHE` names, or `diarize/kernels` in the user's cache folder. An entry contains
//! what it was compiled from, so an entry of another program version is never used. A broken entry is compiled anew, and a
//! folder that cannot be written only costs time.

use std::{
    env,
    ffi::OsStr,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    process, thread,
    time::SystemTime,
};

/// Maximum number of entries. The oldest are removed.
pub const MAX_ENTRIES: usize = 512;
/// Ends an entry, so that a truncated one is noticed.
const END: &str = "\n// complete\n";

/// The folder for compiled kernels; `None` if the user has no home folder.
pub fn folder() -> Option<PathBuf> {
    let named = |variable: &str| env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    named("DIARIZE_CACHE").or_else(|| {
        let caches = named("XDG_CACHE_HOME").or_else(|| env::home_dir().map(|home| home.join(".cache")))?;
        Some(caches.join("diarize").join("kernels"))
    })
}

/// The compiled form of `source`, from `folder` or, if it is not there, from `compile`. The source must contain everything
/// on which the compiled form depends.
pub fn compiled<E>(
    folder: Option<&Path>,
    source: &str,
    compile: impl FnOnce() -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let Some(folder) = folder else { return compile() };
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let path = folder.join(format!("{:016x}.cubin", hasher.finish()));
    if let Some(known) = read(&path, source) {
        return Ok(known);
    }
    let compiled = compile()?;
    // Without the entry, the next process compiles again.
    let _ = write(folder, &path, source, &compiled);
    Ok(compiled)
}

/// The compiled form in an entry, if the entry is whole and of this source.
fn read(path: &Path, source: &str) -> Option<Vec<u8>> {
    let entry = fs::read(path).ok()?;
    let compiled =
        entry.strip_prefix(source.as_bytes())?.strip_prefix(b"\n")?.strip_suffix(END.as_bytes())?;
    Some(compiled.to_owned())
}

/// Writes an entry beside its place and renames it, so that no other process or thread sees a part of it.
fn write(folder: &Path, path: &Path, source: &str, compiled: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension(format!("{}-{:?}.new", process::id(), thread::current().id()));
    fs::write(&temporary, [source.as_bytes(), b"\n", compiled, END.as_bytes()].concat())?;
    fs::rename(&temporary, path).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })?;
    remove_oldest(folder)
}

/// Whether a file of this name is an entry.
fn is_entry(name: &OsStr) -> bool {
    let hash = name.to_str().and_then(|name| name.strip_suffix(".cubin"));
    hash.is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// Removes the oldest entries above the maximum. Other files in the folder are left alone.
fn remove_oldest(folder: &Path) -> io::Result<()> {
    let mut entries: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_entry(&entry.file_name()) {
            entries.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    entries.sort();
    let surplus = entries.len().saturating_sub(MAX_ENTRIES);
    entries[..surplus].iter().try_for_each(|(_, path)| fs::remove_file(path))
}
