//! Errors in the words of this program: one sentence that says what to do.

use std::{
    fmt,
    io::{self, ErrorKind, Write as _},
};

/// An error with its causes. A cause that is already part of an error's own message is not repeated, and errors of the
/// operating system are worded by [`reason`].
pub fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let worded = cause.downcast_ref::<io::Error>().map_or_else(|| text.clone(), reason);
        if sentence.is_empty() {
            sentence = worded;
        } else if let Some(front) = sentence.strip_suffix(&text) {
            sentence = format!("{front}{worded}");
        } else {
            sentence = format!("{sentence}: {worded}");
        }
    }
    sentence
}

/// Why the operating system refused something, and what to do.
pub fn reason(error: &io::Error) -> String {
    let reason = match error.kind() {
        ErrorKind::NotFound => "no such file or directory: check the path",
        ErrorKind::PermissionDenied => "permission denied: change the permissions or use another place",
        ErrorKind::IsADirectory => "it is a directory: name a file",
        ErrorKind::NotADirectory => "a part of the path is a file, not a directory: check the path",
        ErrorKind::AlreadyExists => "a file with this name exists already: use another name",
        ErrorKind::InvalidFilename => "the name is too long or invalid: use another name",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only: use another place",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "the disk is full: free some space",
        ErrorKind::InvalidData if error.to_string().contains("UTF-8") => "it is not text in UTF-8",
        _ => {
            let text = error.to_string();
            // Rust adds the number of the error, which helps nobody.
            return text.split(" (os error ").next().unwrap_or_default().to_owned();
        }
    };
    reason.to_owned()
}

/// Writes a line to the standard error. Nobody can be told if that fails.
pub fn tell(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use std::{fs, io};

    use anyhow::{Context, anyhow};

    use super::sentence;

    #[test]
    fn a_cause_is_not_repeated() {
        let error = anyhow!("disk full").context("cannot write a.rttm: disk full").context("a.wav");
        assert_eq!(sentence(&error), "a.wav: cannot write a.rttm: disk full");
        assert_eq!(sentence(&anyhow!("no").context("cannot")), "cannot: no");
    }

    #[test]
    fn errors_of_the_operating_system_say_what_to_do() {
        let missing = fs::read("/no/such/file").context("cannot read x").unwrap_err();
        assert_eq!(sentence(&missing), "cannot read x: no such file or directory: check the path");
        let text = diarize_audio::Error::from(io::Error::from_raw_os_error(5));
        assert!(!sentence(&text.into()).contains("os error"));
        let directory = fs::read(env!("CARGO_MANIFEST_DIR")).unwrap_err();
        let nested = diarize_audio::Error::from(directory);
        assert_eq!(sentence(&nested.into()), "cannot read it: it is a directory: name a file");
        let bytes = io::read_to_string(&b"\xff"[..]).unwrap_err();
        assert_eq!(sentence(&bytes.into()), "it is not text in UTF-8");
    }
}
