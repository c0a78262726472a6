//! Checks of the files that will be written. They run before any work, so that no recording is lost, and so that
//! nobody waits for a result that cannot be written.

use std::{
    fs::{self, File},
    path::Path,
};

use super::destination::{resolved, temporary};
use crate::inputs;

/// Checks that a result can be written to a file without overwriting a recording. The error is a message for the
/// user.
pub fn check_file(path: &Path) -> Result<(), String> {
    refuse_recording(path)?;
    if is_special(path) {
        return Ok(());
    }
    if path.is_dir() {
        return Err(format!("{} is a directory: name a file", path.display()));
    }
    let path = &resolved(path);
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(format!(
            "cannot write {}: there is no directory {}; create it first",
            path.display(),
            folder.display()
        ));
    }
    let temporary = temporary(path);
    File::create(&temporary)
        .and_then(|_| fs::remove_file(&temporary))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
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

/// Whether a path exists and is a pipe or a device.
pub(super) fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}
