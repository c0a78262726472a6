//! The text found so far, in a separate file beside the result. The file stays if the program stops before the end.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use diarize_words::Segment;
use tracing::warn;

use crate::{failure::reason, output::clock};

/// Such a file. It appears with the first segment and never takes the place of another file. The result does not depend on it, so
/// a failure to write it is a warning.
#[derive(Debug)]
pub struct Partial {
    result: PathBuf,
    written: Option<(PathBuf, File)>,
    has_failed: bool,
}

impl Partial {
    /// For the result in `file`: `talk.srt.partial.txt` beside `talk.srt`, or the first of `talk.srt.partial-2.txt` and so on that
    /// does not exist.
    pub fn of(file: &Path) -> Self {
        Self { result: file.to_owned(), written: None, has_failed: false }
    }

    /// Appends segments, one per line with its start.
    pub fn add(&mut self, segments: &[Segment]) {
        let line = |segment: &Segment| format!("[{}]{}\n", clock(segment.start, '.'), segment.text);
        let lines: String = segments.iter().map(line).collect();
        if let Err(error) = self.append(lines.as_bytes()) {
            warn!("the text so far is not kept beside {}: {}", self.result.display(), reason(&error));
            self.has_failed = true;
        }
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() || self.has_failed {
            return Ok(());
        }
        if let Some((_, file)) = &mut self.written {
            return file.write_all(lines);
        }
        let (path, mut file) = create(&self.result)?;
        if let Err(error) = file.write_all(lines) {
            let _ = fs::remove_file(path); // It has no text.
            return Err(error);
        }
        self.written = Some((path, file));
        Ok(())
    }

    /// Removes the file once the result is written.
    pub fn remove(self) {
        let Some((path, file)) = self.written else { return };
        drop(file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                warn!("cannot remove {}: {}", path.display(), reason(&error));
            }
            _ => {}
        }
    }
}

/// Creates the first file beside a result that does not exist.
fn create(result: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = 1;
    loop {
        let mut path = OsString::from(result);
        path.push(if number == 1 { ".partial.txt".to_owned() } else { format!(".partial-{number}.txt") });
        let path = PathBuf::from(path);
        match File::create_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            created => return created.map(|file| (path, file)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::Partial;

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn the_file_appears_with_text_and_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut partial = Partial::of(&folder.path().join("talk.srt"));
        partial.add(&[]);
        assert!(names(folder.path()).is_empty());
        partial.append(b"[00:00:01.000] One.\n").unwrap();
        partial.append(b"[00:00:31.000] Two.\n").unwrap();
        let path = folder.path().join("talk.srt.partial.txt");
        assert_eq!(fs::read_to_string(&path).unwrap(), "[00:00:01.000] One.\n[00:00:31.000] Two.\n");
        partial.remove();
        assert!(!path.exists());
    }

    #[test]
    fn other_files_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let earlier = folder.path().join("talk.srt.partial.txt");
        fs::write(&earlier, "of an earlier run").unwrap();
        let mut partial = Partial::of(&folder.path().join("talk.srt"));
        partial.append(b"new").unwrap();
        assert_eq!(names(folder.path()), ["talk.srt.partial-2.txt", "talk.srt.partial.txt"]);
        partial.remove();
        assert_eq!(names(folder.path()), ["talk.srt.partial.txt"]);
        assert_eq!(fs::read_to_string(earlier).unwrap(), "of an earlier run");
    }

    #[test]
    fn a_file_that_cannot_be_written_or_is_gone_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut partial = Partial::of(&folder.path().join("x".repeat(300)));
        assert!(partial.append(b"text").is_err());
        partial.remove();
        let mut partial = Partial::of(&folder.path().join("talk.srt"));
        partial.append(b"text").unwrap();
        fs::remove_file(folder.path().join("talk.srt.partial.txt")).unwrap();
        partial.remove();
    }
}
