//! Where results go. Destinations are planned for all inputs before any work, and files are written
//! atomically.

use std::{
    collections::HashSet,
    env,
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::Mutex,
};

use anyhow::Context;
use tempfile::{Builder, NamedTempFile};

use super::{
    Format,
    check::{check_file, is_same_file, is_special, refuse_data, refuse_recording},
    clashes::{refuse_clashes, refuse_inputs, refuse_same_words},
};
use crate::{
    input::Input,
    inputs::{self, Found, Inputs},
};

/// Where one result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

impl Destination {
    /// The path of an existing file relative to the directory of this destination, with `/` between its parts.
    pub(super) fn path_to(&self, file: &Path) -> io::Result<String> {
        let own = match self {
            Destination::Stdout => Path::new("."),
            Destination::File(own) => own.parent().unwrap_or(Path::new(".")),
        };
        let directory = fs::canonicalize(if own.as_os_str().is_empty() { Path::new(".") } else { own })
            .or_else(|_| env::current_dir())?;
        let file = fs::canonicalize(file)?;
        let path = pathdiff::diff_paths(&file, directory).unwrap_or(file);
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
        Ok(parts.join("/"))
    }
}

/// One result of an input, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its format.
    pub format: Format,
    /// Where it goes.
    pub destination: Destination,
}

impl Output {
    /// Its file; `None` for the standard output.
    pub fn file(&self) -> Option<&Path> {
        match &self.destination {
            Destination::Stdout => None,
            Destination::File(path) => Some(path),
        }
    }
}

/// Where all results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations {
    all: Vec<Vec<Output>>,
    /// The output directory, if results go to one.
    directory: Option<PathBuf>,
}

impl Destinations {
    /// Finds the destinations of each input. `default` is the format if nothing else gives one. The error
    /// says which arguments conflict.
    pub fn plan(
        inputs: &Inputs,
        outputs: &[PathBuf],
        formats: &[Format],
        default: Format,
    ) -> Result<Self, String> {
        let mut formats = formats.to_vec();
        formats.dedup();
        let only = [default];
        match outputs {
            [] => Self::on_stdout(inputs, &formats, default),
            [output] if is_stdout(output) => Self::on_stdout(inputs, &formats, default),
            [output] if needs_directory(inputs, output, &formats) => {
                Self::in_directory(inputs, output, if formats.is_empty() { &only } else { &formats })
            }
            [output] if formats.len() == 1 => Self::in_files(inputs, vec![(output.clone(), formats[0])]),
            outputs if formats.is_empty() => {
                // These have clearer reasons than an unknown extension.
                refuse_inputs(inputs, outputs.iter().map(PathBuf::as_path))?;
                outputs.iter().try_for_each(|path| refuse_recording(path))?;
                let of_file = |path: &PathBuf| {
                    let format = match path.extension() {
                        None if outputs.len() == 1 => Some(default),
                        _ if is_stdout(path) => Some(default),
                        _ => Format::of_file(path).or_else(|| is_special(path).then_some(default)),
                    };
                    let unknown = || {
                        format!(
                            "the extension of --output {} is not a known format: use another one, or --format",
                            path.display()
                        )
                    };
                    Ok((path.clone(), format.ok_or_else(unknown)?))
                };
                Self::in_files(inputs, outputs.iter().map(of_file).collect::<Result<_, String>>()?)
            }
            _ => Err("several --output options take their formats from their extensions, not from --format"
                .to_owned()),
        }
    }

    /// Leaves out the destinations of inputs that are not kept.
    pub fn keep(&mut self, is_kept: impl Fn(usize) -> bool) {
        inputs::keep(&mut self.all, is_kept);
    }

    fn on_stdout(inputs: &Inputs, formats: &[Format], default: Format) -> Result<Self, String> {
        let format = match formats {
            [] => default,
            [format] => *format,
            _ => return Err("several formats need --output: a directory, or one file for each".to_owned()),
        };
        if !format.is_text() {
            return Err(format!("{} is not text: use --output with a file", format.extension()));
        }
        if inputs.several && !format.streams() {
            return Err(format!(
                "several results in {} cannot share the standard output: use --output with a directory",
                format.extension()
            ));
        }
        let output = Output { format, destination: Destination::Stdout };
        let all = vec![vec![output]; inputs.all.len()];
        refuse_same_words(inputs, &all)?;
        Ok(Self { all, directory: None })
    }

    fn in_directory(inputs: &Inputs, output: &Path, formats: &[Format]) -> Result<Self, String> {
        let named = Format::of_file(output);
        let is_file = output.is_file() || named.is_some() && !output.is_dir() && !ends_with_separator(output);
        if is_file {
            return Err(not_a_directory(output, inputs.all.len() * formats.len(), named));
        }
        let in_directory = |found: &Found| {
            let file = |&format| {
                let folder = output.join(&found.folder);
                let destination = Destination::File(folder.join(file_name(&found.input, format)));
                Output { format, destination }
            };
            formats.iter().map(file).collect()
        };
        let all: Vec<Vec<Output>> = inputs.all.iter().map(in_directory).collect();
        refuse_clashes(inputs, &all)?;
        refuse_same_words(inputs, &all)?;
        Ok(Self { all, directory: Some(output.to_owned()) })
    }

    fn in_files(inputs: &Inputs, files: Vec<(PathBuf, Format)>) -> Result<Self, String> {
        if inputs.several {
            return Err("several --output options are only for a single input: use one directory".to_owned());
        }
        let output = |(path, format): (PathBuf, Format)| match is_stdout(&path) {
            true => Output { format, destination: Destination::Stdout },
            false => Output { format, destination: Destination::File(path) },
        };
        let all = vec![files.into_iter().map(output).collect()];
        refuse_clashes(inputs, &all)?;
        Ok(Self { all, directory: None })
    }

    /// Checks that all results can be written without overwriting a recording or a data file. The error is a message
    /// for the user.
    pub fn check(&self) -> Result<(), String> {
        let mut files = self.iter().flatten().filter_map(Output::file);
        match self.directory {
            // The directory may not exist yet.
            Some(_) => files.try_for_each(|file| {
                refuse_recording(file)?;
                refuse_data(file)?;
                if file.is_dir() { Err(format!("{} is a directory", file.display())) } else { Ok(()) }
            }),
            None => files.try_for_each(check_file),
        }
    }

    /// Creates the output directory, if there is one, and the folders in it. Checks that the results can be written
    /// there.
    pub fn prepare(&self) -> anyhow::Result<()> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let create = |folder: &Path| {
            fs::create_dir_all(folder)
                .and_then(|()| check_folder(folder))
                .with_context(|| format!("cannot write to the output directory {}", folder.display()))
        };
        create(directory)?;
        let mut created = HashSet::from([directory.as_path()]);
        for file in self.iter().flatten().filter_map(Output::file) {
            let folder = folder(file);
            if created.insert(folder) {
                create(folder)?;
            }
            check_name(file).with_context(|| format!("cannot write {}", file.display()))?;
        }
        Ok(())
    }

    /// Whether a file would be overwritten.
    pub fn overwrite(&self, file: &Path) -> bool {
        self.iter().flatten().filter_map(Output::file).any(|path| is_same_file(path, file))
    }

    /// The results of each input, in the order of the inputs.
    pub fn iter(&self) -> impl Iterator<Item = &[Output]> {
        self.all.iter().map(Vec::as_slice)
    }
}

/// Says why a file cannot hold some results. `format` is that of its name.
fn not_a_directory(output: &Path, results: usize, format: Option<Format>) -> String {
    let output = output.display();
    match (results, format) {
        (1, _) => format!(
            "--output {output} is one file, but a directory, a pattern or --files-from can stand for several recordings: use a \
             directory for the results, or name the recording itself"
        ),
        (_, Some(format)) if format.is_text() && format.streams() => format!(
            "--output {output} is one file, but {results} results need a directory, or `-f {} > {output}` for all of them in \
             one file",
            format.name()
        ),
        _ => format!("--output {output} is one file, but {results} results need a directory"),
    }
}

fn needs_directory(inputs: &Inputs, output: &Path, formats: &[Format]) -> bool {
    inputs.several || formats.len() > 1 || output.is_dir() || ends_with_separator(output)
}

/// Held while a file is written, so that the program does not exit and leave a partial file.
static WRITING: Mutex<()> = Mutex::new(());

/// Exits the program, after any file that is being written.
pub fn exit_after_write(code: i32) -> ! {
    let _writing = WRITING.lock();
    process::exit(code)
}

/// Prints a result on the standard output. Returns `false` if the reader has closed the pipe, which is not an
/// error.
pub fn print(result: &[u8]) -> anyhow::Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(result).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write the result"),
    }
}

/// Writes a temporary file next to `path` and renames it: a reader never sees a partial file, and a failure
/// leaves the old file unchanged. Links are followed; devices and pipes are written directly. A recording is not
/// overwritten.
pub fn write_atomically(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    refuse_recording(path).map_err(io::Error::other)?;
    let path = &resolved(path);
    if is_special(path) {
        return fs::write(path, content);
    }
    let _writing = WRITING.lock();
    let mut temporary = temporary(folder(path))?;
    temporary.write_all(content.as_ref())?;
    temporary.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}

/// The file that a path leads to if links are followed; the path itself if there is no such file.
pub fn resolved(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// A new hidden file, which is deleted on drop unless it becomes a result. Its name is short, because that of the result
/// can be as long as the file system allows.
fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    Builder::new().prefix(".diarize-").suffix(".partial").make_in(folder, |path| File::create_new(path))
}

/// Checks that results can be written to a folder.
pub fn check_folder(folder: &Path) -> io::Result<()> {
    temporary(folder)?.close()
}

/// Checks that the file system allows the name of a file, which may not exist yet.
pub(super) fn check_name(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The folder of a file.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// Whether an argument of `--output` is the standard output.
pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// A hidden file next to `path`, with the same name and another extension after it.
pub fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}

fn file_name(input: &Input, format: Format) -> OsString {
    let mut name = match input {
        Input::File(path) => path.file_stem().unwrap_or(path.as_os_str()).to_owned(),
        Input::Stdin => "stdin".into(),
    };
    name.push(".");
    name.push(format.extension());
    name
}

fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
}
