//! Checks of the files that will be written. They run before any work, so that no recording, voice or setting is lost,
//! and so that nobody waits for a result that cannot be written.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

use super::destination::{check_folder, check_name, folder, is_stdout, resolved};
use crate::{failure::reason, inputs};

/// Checks that a result can be written to a file without overwriting a recording or a data file. The error is a message
/// for the user.
pub fn check_file(path: &Path) -> Result<(), String> {
    refuse_recording(path)?;
    refuse_data(path)?;
    if is_special(path) {
        return Ok(());
    }
    if path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Err(format!("{} is a directory: name a file", path.display()));
    }
    if is_stdout(path) {
        return Err("`-` is not a file: name a file".to_owned());
    }
    let path = &resolved(path);
    let folder = folder(path);
    if !folder.is_dir() {
        return Err(format!(
            "cannot write {}: there is no directory {}; create it first",
            path.display(),
            folder.display()
        ));
    }
    check_name(path)
        .and_then(|()| check_folder(folder))
        .map_err(|error| format!("cannot write {}: {}", path.display(), reason(&error)))
}

/// Refuses a file that contains a recording or has the extension of one. The error is a message for the user.
pub fn refuse_recording(path: &Path) -> Result<(), String> {
    if path.is_file() && diarize_audio::is_recording(path).unwrap_or(false) {
        return Err(format!("{} is a recording and would be overwritten: name another file", path.display()));
    }
    if inputs::has_audio_extension(path) && !is_special(path) {
        return Err(format!(
            "results are text or arrays, but {} is named like a recording: use another extension",
            path.display()
        ));
    }
    Ok(())
}

/// Refuses a file of weights, voices, settings or tuning scores. The error is a message for the user.
pub fn refuse_data(path: &Path) -> Result<(), String> {
    let what = match path.is_file() {
        true if path.extension().is_some_and(|extension| extension == "toml") => Some("settings"),
        true => kind_of_data(path).unwrap_or(None),
        false => None,
    };
    match what {
        Some(what) => {
            Err(format!("{} contains {what} and would be overwritten: name another file", path.display()))
        }
        None => Ok(()),
    }
}

/// What a file contains, if it is data of this program.
fn kind_of_data(path: &Path) -> io::Result<Option<&'static str>> {
    let mut start = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut start)?;
    // Safetensors: the length of the JSON header, then the header.
    let safetensors = start.split_first_chunk().is_some_and(|(length, header)| {
        (2..=100_000_000).contains(&u64::from_le_bytes(*length)) && header.starts_with(b"{")
    });
    Ok(match safetensors {
        true => Some("voices or weights"),
        false if start.starts_with(b"{\"tune\":") => Some("scores of diarize tune"),
        false => None,
    })
}

/// Whether two paths lead to the same file, which may not exist yet.
pub fn is_same_file(a: &Path, b: &Path) -> bool {
    let place = |path: &Path| {
        fs::canonicalize(path).or_else(|_| {
            Ok::<_, io::Error>(fs::canonicalize(folder(path))?.join(path.file_name().unwrap_or_default()))
        })
    };
    a == b || matches!((place(a), place(b)), (Ok(a), Ok(b)) if a == b)
}

/// Whether a path exists and is a pipe or a device.
pub fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}
