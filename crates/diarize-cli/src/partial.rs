//! The text found so far, in a separate file beside the result. The file stays if the program stops before the end.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use tracing::warn;

use crate::{failure::reason, kept::Kept};

/// Such a file. It appears with the first text and never takes the place of another file. The result does not depend on it, so
/// a failure to write it is a warning.
#[derive(Debug)]
pub struct Partial {
    result: PathBuf,
    written: Option<(PathBuf, File)>,
    has_failed: bool,
    kept: Kept,
}

impl Partial {
    /// For the result in `file`: `talk.srt.partial.txt` beside `talk.srt`, or the first of `talk.srt.partial-2.txt` and so on that
    /// does not exist. It is one of the `kept` files while it exists.
    pub fn of(file: &Path, kept: Kept) -> Self {
        Self { result: file.to_owned(), written: None, has_failed: false, kept }
    }

    /// Appends paragraphs.
    pub fn add(&mut self, paragraphs: &str) {
        if let Err(error) = self.append(paragraphs) {
            warn!("the text so far is not kept beside {}: {}", self.result.display(), reason(&error));
            self.has_failed = true;
        }
    }

    fn append(&mut self, paragraphs: &str) -> io::Result<()> {
        if paragraphs.is_empty() || self.has_failed {
            return Ok(());
        }
        if let Some((_, file)) = &mut self.written {
            return file.write_all(format!("\n{paragraphs}").as_bytes());
        }
        let (path, mut file) = create(&self.result)?;
        if let Err(error) = file.write_all(paragraphs.as_bytes()) {
            let _ = fs::remove_file(path); // It has no text.
            return Err(error);
        }
        self.kept.add(path.clone());
        self.written = Some((path, file));
        Ok(())
    }

    /// Removes the file once the result is written, and those that earlier runs have left.
    pub fn remove(self) {
        if let Some((path, file)) = self.written {
            drop(file);
            self.kept.remove(&path, || remove(&path));
        }
        let earlier = (1..).map(|number| numbered(&self.result, number));
        earlier.take_while(|path| path.is_file()).for_each(|path| remove(&path));
    }
}

/// The file beside a result with a number, from 1.
fn numbered(result: &Path, number: u32) -> PathBuf {
    let mut path = OsString::from(result);
    path.push(if number == 1 { ".partial.txt".to_owned() } else { format!(".partial-{number}.txt") });
    PathBuf::from(path)
}

/// Creates the first file beside a result that does not exist.
fn create(result: &Path) -> io::Result<(PathBuf, File)> {
    let mut number = 1;
    loop {
        let path = numbered(result, number);
        match File::create_new(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            created => return created.map(|file| (path, file)),
        }
    }
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            warn!("cannot remove {}: {}", path.display(), reason(&error));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::Partial;
    use crate::kept::Kept;

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    /// The names of kept files. Nothing can be added afterwards.
    fn told(kept: &Kept) -> Vec<String> {
        let mut names = Vec::new();
        kept.tell_last(|files| {
            names.extend(files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()));
        });
        names
    }

    #[test]
    fn the_file_appears_with_text_and_is_removed() {
        let (folder, kept) = (tempfile::tempdir().unwrap(), Kept::default());
        let mut partial = Partial::of(&folder.path().join("talk.srt"), kept.clone());
        partial.add("");
        assert!(names(folder.path()).is_empty());
        partial.append("[00:00:01] A: One.\n").unwrap();
        partial.append("[00:00:31] B: Two.\n").unwrap();
        let path = folder.path().join("talk.srt.partial.txt");
        assert_eq!(fs::read_to_string(&path).unwrap(), "[00:00:01] A: One.\n\n[00:00:31] B: Two.\n");
        partial.remove();
        assert!(!path.exists());
        assert!(told(&kept).is_empty());
    }

    #[test]
    fn files_of_earlier_runs_stay_until_there_is_a_result() {
        let (folder, kept) = (tempfile::tempdir().unwrap(), Kept::default());
        let earlier = folder.path().join("talk.srt.partial.txt");
        fs::write(&earlier, "of an earlier run").unwrap();
        fs::write(folder.path().join("other.srt.partial.txt"), "of another result").unwrap();
        let result = folder.path().join("talk.srt");
        let mut stopped = Partial::of(&result, kept.clone());
        stopped.append("new").unwrap();
        drop(stopped);
        assert_eq!(fs::read_to_string(earlier).unwrap(), "of an earlier run");
        assert_eq!(names(folder.path())[1..], ["talk.srt.partial-2.txt", "talk.srt.partial.txt"]);
        // Even a result without text replaces them.
        Partial::of(&result, kept.clone()).remove();
        assert_eq!(names(folder.path()), ["other.srt.partial.txt"]);
        assert_eq!(told(&kept), ["talk.srt.partial-2.txt"]);
    }

    #[test]
    fn a_file_that_cannot_be_written_or_is_gone_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let mut partial = Partial::of(&folder.path().join("x".repeat(300)), Kept::default());
        assert!(partial.append("text").is_err());
        partial.remove();
        let mut partial = Partial::of(&folder.path().join("talk.srt"), Kept::default());
        partial.append("text").unwrap();
        fs::remove_file(folder.path().join("talk.srt.partial.txt")).unwrap();
        partial.remove();
    }
}
