//! The text found so far, in a file beside the result: it is left if the program stops before the end.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use diarize_words::Segment;

use crate::output::clock;

/// Such a file. It appears with the first segment.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    file: Option<File>,
}

impl Partial {
    /// For the result in `file`: `talk.srt.partial.txt` beside `talk.srt`.
    pub fn of(file: &Path) -> Self {
        let mut path = OsString::from(file);
        path.push(".partial.txt");
        Self { path: path.into(), file: None }
    }

    /// Appends segments, one per line with its start.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&mut self, segments: &[Segment]) -> anyhow::Result<()> {
        if segments.is_empty() {
            return Ok(());
        }
        let line = |segment: &Segment| format!("[{}]{}\n", clock(segment.start, '.'), segment.text);
        let lines: String = segments.iter().map(line).collect();
        self.append(lines.as_bytes()).with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create(&self.path)?),
        };
        file.write_all(lines)
    }

    /// Removes the file, because the result is there.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn remove(self) -> anyhow::Result<()> {
        match self.file {
            Some(_) => {
                fs::remove_file(&self.path).with_context(|| format!("cannot remove {}", self.path.display()))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Partial;

    #[test]
    fn the_file_appears_with_text_and_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut partial = Partial::of(&folder.path().join("talk.srt"));
        partial.add(&[]).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        partial.append(b"[00:00:01.000] One.\n").unwrap();
        partial.append(b"[00:00:31.000] Two.\n").unwrap();
        let path = folder.path().join("talk.srt.partial.txt");
        assert_eq!(fs::read_to_string(&path).unwrap(), "[00:00:01.000] One.\n[00:00:31.000] Two.\n");
        partial.remove().unwrap();
        assert!(!path.exists());
    }
}
