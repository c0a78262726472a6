//! The text found so far, in a separate file beside the result. The file stays if the program stops before the end.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use tracing::warn;

use crate::{failure::reason, kept::Kept};

/// How such a file begins.
const MARK: &str = "This transcript is not finished.\n\n";

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
        // With the lock, the program is not stopped between the file and its name.
        let mut kept = self.kept.lock();
        let (path, mut file) = create(&self.result)?;
        if let Err(error) = file.write_all(format!("{MARK}{paragraphs}").as_bytes()) {
            let _ = fs::remove_file(path); // It has no text.
            return Err(error);
        }
        kept.texts.insert(path.clone());
        drop(kept);
        self.written = Some((path, file));
        Ok(())
    }

    /// Removes the file once the result is written, and those that earlier runs have left.
    pub fn remove(mut self) {
        let mut kept = self.kept.lock();
        if let Some((path, file)) = self.written.take() {
            drop(file);
            kept.texts.remove(&path);
        }
        earlier(&self.result).iter().for_each(|path| remove(path));
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.written {
            warn!("the text so far is in {}", path.display());
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

/// The files of unfinished text beside a result. Other files with such names do not begin like them.
fn earlier(result: &Path) -> Vec<PathBuf> {
    let Some(name) = result.file_name().map(OsStr::to_string_lossy) else { return Vec::new() };
    let is_named = |path: &PathBuf| {
        let other = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let rest = other.strip_prefix(&*name).and_then(|rest| rest.strip_prefix(".partial"));
        rest.and_then(|rest| rest.strip_suffix(".txt")).is_some_and(|number| {
            number.is_empty() || number.strip_prefix('-').is_some_and(|number| number.parse::<u32>().is_ok())
        })
    };
    let is_marked = |path: &PathBuf| {
        let mut start = [0; MARK.len()];
        File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == MARK.as_bytes()
    };
    let folder = result.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or(Path::new("."))).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| is_named(path) && is_marked(path)).collect()
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

    use super::{MARK, Partial};
    use crate::kept::Kept;

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
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
        let text = format!("{MARK}[00:00:01] A: One.\n\n[00:00:31] B: Two.\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(kept.lock().texts.iter().collect::<Vec<_>>(), [&path]);
        partial.remove();
        assert!(!path.exists());
        assert!(kept.lock().texts.is_empty());
    }

    #[test]
    fn files_of_earlier_runs_stay_until_there_is_a_result() {
        let (folder, kept) = (tempfile::tempdir().unwrap(), Kept::default());
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let text = format!("{MARK}of an earlier run");
        write("talk.srt.partial.txt", &text);
        write("talk.srt.partial-7.txt", &text);
        write("talk.srt.partial-3.txt", "a file of the user");
        write("talk.srt.partial-old.txt", &text);
        write("other.srt.partial.txt", &text);
        let result = folder.path().join("talk.srt");
        let mut stopped = Partial::of(&result, kept.clone());
        stopped.append("new").unwrap();
        drop(stopped);
        assert_eq!(fs::read_to_string(folder.path().join("talk.srt.partial.txt")).unwrap(), text);
        assert!(folder.path().join("talk.srt.partial-2.txt").exists());
        assert_eq!(kept.lock().texts.len(), 1);
        // Even a result without text replaces them.
        Partial::of(&result, kept).remove();
        let others = ["other.srt.partial.txt", "talk.srt.partial-3.txt", "talk.srt.partial-old.txt"];
        assert_eq!(names(folder.path()), others);
    }

    #[test]
    fn a_result_that_is_named_like_such_a_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut partial = Partial::of(&folder.path().join("talk.srt"), Kept::default());
        partial.append("text").unwrap();
        fs::write(folder.path().join("talk.srt.partial.txt"), "a result").unwrap();
        partial.remove();
        assert_eq!(names(folder.path()), ["talk.srt.partial.txt"]);
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
