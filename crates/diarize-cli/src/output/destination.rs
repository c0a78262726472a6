//! Where results go: planned for all inputs before any work, written so that only whole files appear.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};

use super::Format;
use crate::args::Input;

/// Where one result goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

/// Where all results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations {
    all: Vec<Destination>,
    /// A directory that must be there.
    directory: Option<PathBuf>,
}

impl Destinations {
    /// Finds the destination of each input. The error says which two would meet in one file.
    pub fn plan(inputs: &[Input], output: Option<&Path>, format: Format) -> Result<Self, String> {
        let Some(output) = output else {
            return Ok(Self { all: vec![Destination::Stdout; inputs.len()], directory: None });
        };
        let is_directory = inputs.len() > 1 || output.is_dir() || ends_with_separator(output);
        if is_directory && output.exists() && !output.is_dir() {
            return Err(format!(
                "--output {} is a file, but {} inputs need a directory",
                output.display(),
                inputs.len()
            ));
        }
        let files: Vec<PathBuf> = if is_directory {
            inputs.iter().map(|input| output.join(file_name(input, format))).collect()
        } else {
            vec![output.to_owned()]
        };
        refuse_clashes(inputs, &files)?;
        Ok(Self {
            all: files.into_iter().map(Destination::File).collect(),
            directory: is_directory.then(|| output.to_owned()),
        })
    }

    /// Makes the directory, where results go to one.
    pub fn prepare(&self) -> io::Result<()> {
        self.directory.as_deref().map_or(Ok(()), fs::create_dir_all)
    }

    /// The destination of each input, in the order of the inputs.
    pub fn iter(&self) -> impl Iterator<Item = &Destination> {
        self.all.iter()
    }
}

impl Destination {
    /// Writes a result.
    pub fn write(&self, text: &str) -> io::Result<()> {
        match self {
            Destination::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(text.as_bytes())?;
                stdout.flush()
            }
            Destination::File(path) => write_whole(path, text),
        }
    }
}

/// Writes to a temporary name beside the file and renames it: a reader never sees half a file, and
/// a failure leaves the old one. Links are followed; devices and pipes are written directly.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fs::write(path, text);
    }
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.partial", process::id()));
    let temporary = path.with_file_name(name);
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn refuse_clashes(inputs: &[Input], files: &[PathBuf]) -> Result<(), String> {
    let mut taken = HashMap::new();
    for (input, file) in inputs.iter().zip(files) {
        if let Some(other) = taken.insert(file, input) {
            return Err(format!(
                "{other} and {input} would both be written to {}: rename one",
                file.display()
            ));
        }
    }
    for input in inputs {
        let Input::File(input) = input else { continue };
        let Ok(input) = fs::canonicalize(input) else {
            continue;
        };
        if let Some(file) = files.iter().find(|file| fs::canonicalize(file).is_ok_and(|file| file == input)) {
            return Err(format!("--output would overwrite the input {}", file.display()));
        }
    }
    Ok(())
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
