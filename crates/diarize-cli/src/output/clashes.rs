//! Results that would replace each other or an input, found before any work.

use std::{
    collections::{HashMap, HashSet},
    fs,
    hash::Hash,
    path::{Path, PathBuf},
};

use super::{
    check::is_same_file,
    destination::{Destination, Output},
    uri,
};
use crate::{
    input::Input,
    inputs::{Found, Inputs},
};

/// Returns an error if two results would be written to the same file, or one to an input.
pub(super) fn refuse_clashes(inputs: &Inputs, all: &[Vec<Output>]) -> Result<(), String> {
    let (mut taken, mut clashes) = (HashMap::new(), Vec::new());
    for (Found { input, .. }, outputs) in inputs.all.iter().zip(all) {
        for Output { destination, .. } in outputs {
            let Destination::File(file) = destination else { continue };
            match taken.insert(file, input) {
                Some(other) if other == input => {
                    return Err(format!("two results would both be written to {}", file.display()));
                }
                Some(other) => {
                    clashes.push((
                        input,
                        format!("{other} and {input} would both be written to {}", file.display()),
                    ));
                }
                None => {}
            }
        }
    }
    refuse(clashes)?;
    refuse_inputs(inputs, taken.into_keys().map(PathBuf::as_path))
}

/// The error about recordings that would have the same results, each with a description. It names the first one.
fn refuse(mut clashes: Vec<(&Input, String)>) -> Result<(), String> {
    // Several formats of a recording are one clash.
    clashes.dedup_by(|(input, _), (last, _)| input == last);
    let more = match clashes.len() {
        0 => return Ok(()),
        1 => String::new(),
        count => format!(" ({} more like this)", count - 1),
    };
    let (_, first) = &clashes[0];
    Err(format!("{first}{more}: rename one, or leave one out"))
}

/// Returns an error if two recordings in the same place would have the same name, so that RTTM would show them as one
/// recording.
pub fn refuse_same_names<'a, P: Eq + Hash>(
    recordings: impl Iterator<Item = (&'a Input, P)>,
) -> Result<(), String> {
    let (mut taken, mut clashes) = (HashMap::new(), Vec::new());
    for (input, place) in recordings {
        let name = uri(&input.stem());
        if let Some(other) = taken.insert((place, name.clone()), input) {
            if other.path().zip(input.path()).is_some_and(|(a, b)| is_same_file(a, b)) {
                return Err(format!("{other} and {input} are the same file: name it once"));
            }
            clashes.push((input, format!("{other} and {input} would both be called {name} in the result")));
        }
    }
    refuse(clashes)
}

/// Checks the names of recordings in one stream or one directory.
pub(super) fn refuse_same_words(inputs: &Inputs, all: &[Vec<Output>]) -> Result<(), String> {
    let recordings = inputs.all.iter().zip(all).flat_map(|(Found { input, .. }, outputs)| {
        let words = outputs.iter().filter(|output| output.format.has_words());
        words.map(move |output| (input, (output.format.extension(), output.file().and_then(Path::parent))))
    });
    refuse_same_names(recordings)
}

/// Returns an error if one of the files is an input.
pub(super) fn refuse_inputs<'a>(
    inputs: &Inputs,
    files: impl Iterator<Item = &'a Path>,
) -> Result<(), String> {
    let input = |found: &Found| match &found.input {
        Input::File(path) => fs::canonicalize(path).ok(),
        Input::Stdin => None,
    };
    let read: HashSet<PathBuf> = inputs.all.iter().filter_map(input).collect();
    for file in files {
        if fs::canonicalize(file).is_ok_and(|file| read.contains(&file)) {
            return Err(format!("--output would overwrite the input {}", file.display()));
        }
    }
    Ok(())
}
