//! The folder of compiled kernels.

use std::{convert::Infallible, fs, path::Path, thread};

use diarize_kernels::gpu::compiled::{MAX_ENTRIES, compiled};

/// The compiled form of a source, and whether it had to be compiled.
fn compile(folder: &Path, source: &str) -> (String, bool) {
    let mut called = false;
    let compile = || {
        called = true;
        Ok::<_, Infallible>(format!("compiled {source}").into_bytes())
    };
    let Ok(code) = compiled(Some(folder), source, compile);
    (String::from_utf8(code).unwrap(), called)
}

#[test]
fn each_source_is_compiled_once() {
    let folder = tempfile::tempdir().unwrap();
    for called in [true, false] {
        for source in ["a", "b"] {
            assert_eq!(compile(&folder.path().join("new"), source), (format!("compiled {source}"), called));
        }
    }
}

#[test]
fn threads_that_compile_the_same_source_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let source = "a".repeat(1 << 16);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(compile(folder.path(), &source).0, format!("compiled {source}")));
        }
    });
    assert_eq!(compile(folder.path(), &source), (format!("compiled {source}"), false));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
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
    let notes = folder.path().join("notes.txt");
    fs::write(&notes, "mine").unwrap();
    for number in 0..MAX_ENTRIES + 3 {
        compile(folder.path(), &number.to_string());
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), MAX_ENTRIES + 1);
    assert!(notes.exists(), "the user's file is left alone");
    assert!(!compile(folder.path(), &(MAX_ENTRIES + 2).to_string()).1, "the newest is there");
}

#[test]
fn without_a_folder_everything_works() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(compile(&file.join("below"), "a"), ("compiled a".into(), true));
    assert_eq!(compiled(None, "a", || Ok::<_, Infallible>(vec![1, 255])), Ok(vec![1, 255]));
}
