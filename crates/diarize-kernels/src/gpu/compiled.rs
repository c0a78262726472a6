//! Compiled kernels, kept in a folder so that later processes need not compile them again.
//!
//! The folder is the one that `DIARIZE_CACHE` names, or `diarize/kernels` in the user's cache folder. An entry contains
//! what it was compiled from, so an entry of another program version is never used. A broken entry is compiled anew, and a
//! folder that cannot be written only costs time.

#[cfg(feature = "cuda")]
use std::env;
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    process,
    time::SystemTime,
};

/// Maximum number of entries. The oldest are removed.
const MAX_ENTRIES: usize = 512;
/// Ends an entry, so that a truncated one is noticed.
const END: &str = "\n// complete\n";

/// The folder for compiled kernels; `None` if the user has no home folder.
#[cfg(feature = "cuda")]
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
    compile: impl FnOnce() -> Result<String, E>,
) -> Result<String, E> {
    let Some(folder) = folder else { return compile() };
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let path = folder.join(format!("{:016x}.txt", hasher.finish()));
    if let Some(known) = read(&path, source) {
        return Ok(known);
    }
    let text = compile()?;
    // Without the entry, the next process compiles again.
    let _ = write(folder, &path, source, &text);
    Ok(text)
}

/// The compiled form in an entry, if the entry is whole and of this source.
fn read(path: &Path, source: &str) -> Option<String> {
    let entry = fs::read_to_string(path).ok()?;
    let compiled = entry.strip_prefix(source)?.strip_prefix('\n')?.strip_suffix(END)?;
    Some(compiled.to_owned())
}

/// Writes an entry beside its place and renames it, so that no other process sees a part of it.
fn write(folder: &Path, path: &Path, source: &str, compiled: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension(format!("{}.new", process::id()));
    fs::write(&temporary, [source, "\n", compiled, END].concat())?;
    fs::rename(&temporary, path).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })?;
    remove_oldest(folder)
}

fn remove_oldest(folder: &Path) -> io::Result<()> {
    let mut entries: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        entries.push((entry.metadata()?.modified()?, entry.path()));
    }
    entries.sort();
    let surplus = entries.len().saturating_sub(MAX_ENTRIES);
    entries[..surplus].iter().try_for_each(|(_, path)| fs::remove_file(path))
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, fs, path::Path};

    use super::{MAX_ENTRIES, compiled};

    /// The compiled form of a source, and whether it had to be compiled.
    fn compile(folder: &Path, source: &str) -> (String, bool) {
        let mut called = false;
        let compile = || {
            called = true;
            Ok::<_, Infallible>(format!("compiled {source}"))
        };
        let Ok(text) = compiled(Some(folder), source, compile);
        (text, called)
    }

    #[test]
    fn each_source_is_compiled_once() {
        let folder = tempfile::tempdir().unwrap();
        for called in [true, false] {
            for source in ["a", "b"] {
                assert_eq!(
                    compile(&folder.path().join("new"), source),
                    (format!("compiled {source}"), called)
                );
            }
        }
    }

    #[test]
    fn a_broken_entry_is_compiled_again() {
        let folder = tempfile::tempdir().unwrap();
        compile(folder.path(), "a");
        let path = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let whole = fs::read(&path).unwrap();
        for broken in [&whole[..whole.len() - 1], b"", b"b\ncompiled a\n// complete\n", b"\xff"] {
            fs::write(&path, broken).unwrap();
            assert_eq!(compile(folder.path(), "a"), ("compiled a".into(), true));
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn old_entries_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..MAX_ENTRIES + 3 {
            compile(folder.path(), &number.to_string());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), MAX_ENTRIES);
        assert!(!compile(folder.path(), &(MAX_ENTRIES + 2).to_string()).1, "the newest is there");
    }

    #[test]
    fn without_a_folder_everything_works() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert_eq!(compile(&file.join("below"), "a"), ("compiled a".into(), true));
        assert_eq!(compiled(None, "a", || Ok::<_, Infallible>("compiled".into())), Ok("compiled".into()));
    }
}
