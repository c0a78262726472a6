//! Expands arguments to inputs: files, directories, patterns and lists.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use crate::{failure::reason, input::Input, output::is_special, progress::Console};

/// File extensions that count as audio when a directory is searched.
const EXTENSIONS: [&str; 37] = [
    "3g2", "3gp", "3gpp", "aac", "adts", "aif", "aifc", "aiff", "alac", "au", "bw64", "caf", "flac", "m4a",
    "m4b", "m4r", "m4v", "mka", "mkv", "mov", "mp2", "mp3", "mp4", "mpga", "oga", "ogg", "ogv", "ogx",
    "opus", "qt", "qta", "rf64", "snd", "w64", "wav", "wave", "webm",
];

/// File extensions of audio and video that is not read.
const UNREAD: [&str; 21] = [
    "ac3", "amr", "ape", "asf", "avi", "dsf", "flv", "m2ts", "mpc", "mpeg", "mpg", "mts", "ra", "rm", "spx",
    "ts", "tta", "voc", "wma", "wmv", "wv",
];

/// One input, and the folder for its results below the output directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The input.
    pub input: Input,
    /// Its folder relative to the directory argument; empty if the file itself was the argument.
    pub folder: PathBuf,
}

/// The inputs that arguments expand to.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The inputs, in the order of the arguments, each once.
    pub all: Vec<Found>,
    /// Pipes, devices and sockets that directories and patterns contain. They are not read, which could wait forever.
    pub skipped: Vec<PathBuf>,
    /// Files that are named more than once.
    pub repeated: Vec<PathBuf>,
    /// Recordings in directories whose format is not read.
    pub unread: Vec<PathBuf>,
    /// Whether there may be several. True for a directory, a pattern or a list, whatever it contains.
    pub several: bool,
}

impl Inputs {
    /// Keeps only some of the inputs. Even a single remaining input counts as one of several.
    pub fn keep(&mut self, is_kept: impl Fn(usize) -> bool) {
        keep(&mut self.all, is_kept);
        self.several = true;
    }

    /// Says which files are skipped.
    pub fn warn(&self, console: &Console) {
        match self.repeated.as_slice() {
            [] => {}
            [file] => {
                console.warn(&format!("{} is named more than once, but processed only once", file.display()));
            }
            [first, ..] => console.warn(&format!(
                "{} files are named more than once, but processed only once; the first is {}",
                self.repeated.len(),
                first.display()
            )),
        }
        for path in &self.skipped {
            console.warn(&format!("{} is skipped: it is a pipe or a device, not a file", path.display()));
        }
        if let Some(first) = self.unread.first() {
            let files = if self.unread.len() == 1 { "file is" } else { "files are" };
            console.warn(&format!(
                "{} {files} skipped, because the format is not read: convert them first; the first is {}",
                self.unread.len(),
                first.display()
            ));
        }
    }
}

/// Expands arguments to inputs. The inputs of a directory or a pattern are sorted by name.
///
/// A directory expands to its audio files, with `recursive` also to those in its subdirectories. A name that
/// contains `*`, `?` or `[` and is not itself a file expands to the files it matches (`**` matches any
/// directories).
///
/// # Errors
/// If a directory or pattern has no audio files, a directory cannot be read, or an argument is a URL.
pub fn find(arguments: &[PathBuf], recursive: bool) -> Result<Inputs, String> {
    let mut found = Inputs { several: arguments.len() > 1, ..Inputs::default() };
    for argument in arguments {
        if argument.as_os_str() == "-" {
            found.all.push(Found { input: Input::Stdin, folder: PathBuf::new() });
        } else if argument.is_dir() {
            found.several = true;
            let before = found.all.len();
            add_audio_files(argument, Path::new(""), recursive, &mut found).map_err(|error| {
                format!("cannot read the directory {}: {}", argument.display(), reason(&error))
            })?;
            if found.all.len() == before {
                let hint = if recursive { "" } else { "; --recursive also searches its subdirectories" };
                return Err(format!("the directory {} contains no audio files{hint}", argument.display()));
            }
        } else if argument.to_str().is_some_and(|name| name.contains("://")) && !argument.exists() {
            return Err(format!("{} is a URL: download the recording first", argument.display()));
        } else if let Some(pattern) = pattern(argument) {
            found.several = true;
            let paths = glob::glob(pattern)
                .map_err(|error| format!("{pattern} is neither a file nor a pattern: {}", error.msg))?;
            let (special, files): (Vec<_>, Vec<_>) =
                paths.filter_map(Result::ok).partition(|path| is_special(path));
            let files: Vec<PathBuf> = files.into_iter().filter(|path| path.is_file()).collect();
            found.skipped.extend(special);
            if files.is_empty() {
                return Err(format!("no file matches {pattern}"));
            }
            found.all.extend(files.into_iter().map(named));
        } else {
            found.all.push(named(argument.clone()));
        }
    }
    let (mut seen, mut repeated) = (HashSet::new(), BTreeSet::new());
    found.all.retain(|found| match &found.input {
        Input::File(path) => {
            let is_new = seen.insert(path.clone());
            if !is_new {
                repeated.insert(path.clone());
            }
            is_new
        }
        Input::Stdin => true, // The caller reports a standard input that is named twice.
    });
    found.repeated = repeated.into_iter().collect();
    Ok(found)
}

/// Keeps the values with some indices.
pub fn keep<T>(values: &mut Vec<T>, is_kept: impl Fn(usize) -> bool) {
    let mut indices = 0..;
    values.retain(|_| indices.next().is_some_and(&is_kept));
}

/// The lines of a list of inputs, without blank lines and lines that start with `#`.
pub fn list(text: &str) -> impl Iterator<Item = PathBuf> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(PathBuf::from)
}

/// The line that [`list`] reads as this path. There is none if the name is not UTF-8, has a line break or ends in white space.
pub fn line(path: &Path) -> Option<String> {
    let name = path.to_str()?;
    // With `./` in front, a name is neither a comment nor trimmed.
    let folder =
        if name.starts_with(|first: char| first == '#' || first.is_whitespace()) { "./" } else { "" };
    let line = format!("{folder}{name}");
    list(&line).eq([Path::new(&line)]).then_some(line)
}

fn named(path: PathBuf) -> Found {
    Found { input: Input::File(path), folder: PathBuf::new() }
}

/// The argument as a pattern, unless it names a file.
fn pattern(argument: &Path) -> Option<&str> {
    argument.to_str().filter(|name| name.contains(['*', '?', '[']) && !argument.exists())
}

/// Adds the audio files of `root/folder`, sorted by name.
fn add_audio_files(root: &Path, folder: &Path, recursive: bool, found: &mut Inputs) -> io::Result<()> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(root.join(folder))?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort();
    for path in entries {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.is_dir() {
            // A link to a directory could form a cycle.
            if recursive && !hidden && !path.is_symlink() {
                let folder = folder.join(path.file_name().unwrap_or_default());
                add_audio_files(root, &folder, recursive, found)?;
            }
        } else if !hidden && has_extension(&path, &UNREAD) {
            found.unread.push(path);
        } else if hidden || !has_audio_extension(&path) {
            continue;
        } else if is_special(&path) {
            found.skipped.push(path);
        } else {
            found.all.push(Found { input: Input::File(path), folder: folder.to_owned() });
        }
    }
    Ok(())
}

/// Whether the extension of a file is one of audio.
pub fn has_audio_extension(path: &Path) -> bool {
    has_extension(path, &EXTENSIONS)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| extensions.contains(&extension.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use super::{find, line, list};

    fn names(arguments: &[PathBuf], recursive: bool) -> Vec<String> {
        let found = find(arguments, recursive).unwrap().all;
        found.iter().map(|found| format!("{}:{}", found.folder.display(), found.input.stem())).collect()
    }

    #[test]
    fn directories_and_patterns_expand_to_their_audio() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("deep/er")).unwrap();
        for name in ["b.WAV", "a.mp3", "notes.txt", ".hidden.wav", "deep/er/c.flac", "[1].wav"] {
            fs::write(path(name), "").unwrap();
        }
        let whole = [root.path().to_owned()];
        assert_eq!(names(&whole, false), [":[1]", ":a", ":b"]);
        assert_eq!(names(&whole, true), [":[1]", ":a", ":b", "deep/er:c"]);
        assert_eq!(names(&[path("*.mp3"), path("a.mp3"), path("**/*.flac")], false), [":a", ":c"]);
        let twice = find(&[path("a.mp3"), path("b.WAV"), path("*.mp3"), path("a.mp3")], false).unwrap();
        assert_eq!((twice.all.len(), twice.repeated), (2, vec![path("a.mp3")]));
        assert_eq!(names(&[path("[1].wav")], false), [":[1]"], "a file with such a name is itself");
        assert!(find(&[path("*.aac")], false).unwrap_err().starts_with("no file matches"));
        assert!(find(&[path("deep")], false).unwrap_err().contains("--recursive"));
        let missing = find(&[path("missing.wav")], false).unwrap();
        assert_eq!((missing.all.len(), missing.several), (1, false), "the error comes when it is opened");
    }

    #[test]
    fn lists_have_comments_and_blank_lines() {
        let list: Vec<PathBuf> = list("# Monday\n a b.wav \n\nc.wav\r\n").collect();
        assert_eq!(list, ["a b.wav", "c.wav"].map(PathBuf::from));
    }

    #[test]
    fn lines_of_a_list_are_read_as_the_same_path() {
        for (name, expected) in [
            ("a b.wav", Some("a b.wav")),
            ("#1.wav", Some("./#1.wav")),
            (" a.wav", Some("./ a.wav")),
            ("a.wav ", None),
            ("a\nb.wav", None),
        ] {
            assert_eq!(line(Path::new(name)).as_deref(), expected, "{name:?}");
        }
    }
}
