//! Errors in the words of this program: one sentence that says what to do.

use std::{
    borrow::Cow,
    error::Error,
    fmt,
    io::{self, ErrorKind, Write as _},
};

use clap::CommandFactory;

use crate::commands::{Cli, conflict};

/// Longer values are cut to this many letters in error messages.
const LONGEST: usize = 80;

/// An error with its causes. A cause that is already part of an error's own message is not repeated. Errors of the
/// operating system are worded by [`reason`], and options have their names on the command line.
pub fn sentence(error: &anyhow::Error) -> String {
    worded(error, refusal)
}

/// Like [`sentence`], but options keep the names that the libraries give them.
pub fn library_sentence(error: &anyhow::Error) -> String {
    worded(error, |_| None)
}

/// One sentence about an error and its causes. `refused` can replace the message of a cause that is about an option.
fn worded(error: &anyhow::Error, refused: fn(&(dyn Error + 'static)) -> Option<String>) -> String {
    let mut sentence = String::new();
    for cause in error.chain() {
        let text = cause.to_string();
        let worded = match cause.downcast_ref::<io::Error>() {
            Some(error) => reason(error),
            None => refused(cause).unwrap_or_else(|| text.clone()),
        };
        if sentence.is_empty() {
            sentence = worded;
        } else if let Some((front, back)) = around(&sentence, &text) {
            sentence = format!("{front}{worded}{back}");
        } else {
            sentence = format!("{sentence}: {worded}");
        }
    }
    sentence
}

/// What comes before and after a part of a sentence, if it is a part and does not begin or end inside a word.
fn around<'s>(sentence: &'s str, part: &str) -> Option<(&'s str, &'s str)> {
    let (front, back) = sentence.rsplit_once(part)?;
    let is_whole = !front.ends_with(char::is_alphanumeric) && !back.starts_with(char::is_alphanumeric);
    is_whole.then_some((front, back))
}

/// The exit code of an error: 2 if it concerns the command line, else 1.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    let is_usage = |cause: &(dyn Error + 'static)| {
        refused_option(cause).is_some_and(|option| long_option(option).is_some())
    };
    if error.chain().any(is_usage) { 2 } else { 1 }
}

/// Turns a library's error about the value of an option into a usage error. `given` is what the user typed.
pub fn refused(given: &str, error: diarize::Error) -> anyhow::Error {
    match error {
        diarize::Error::InvalidOption { requirement, .. } => {
            conflict(format!("{given}: the value must be {requirement}")).into()
        }
        diarize::Error::Setting { reason, .. } | diarize::Error::Device { reason, .. } => {
            conflict(format!("{given}: {reason}")).into()
        }
        error => error.into(),
    }
}

/// An option that a library refuses, by its name there, its value and which values are valid.
fn refused_value<'e>(error: &'e (dyn Error + 'static)) -> Option<(&'static str, &'e str, &'e str)> {
    #[cfg(feature = "words")]
    if let Some(diarize_words::Error::InvalidOption { option, value, requirement }) = error.downcast_ref() {
        return Some((option, value, requirement));
    }
    match error.downcast_ref()? {
        diarize::Error::InvalidOption { option, value, requirement } => Some((option, value, requirement)),
        _ => None,
    }
}

/// The option that a library refuses or needs, by its name there.
fn refused_option(error: &(dyn Error + 'static)) -> Option<&'static str> {
    match error.downcast_ref() {
        Some(diarize::Error::NoSpeakerCount) => Some("num_speakers"),
        _ => refused_value(error).map(|(option, ..)| option),
    }
}

/// The message of a library about an option, with the option's name on the command line. The value is shown as the user wrote
/// it, and cut if it is long.
fn refusal(error: &(dyn Error + 'static)) -> Option<String> {
    refused_option(error)?;
    let Some((option, value, requirement)) = refused_value(error) else {
        return Some(with_options(&error.to_string()));
    };
    let option = long_option(option).unwrap_or_else(|| option.to_owned());
    let value = match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…{}", &value[..end], if value.ends_with('`') { "`" } else { "" }),
        None => value.to_owned(),
    };
    Some(format!("{option} is {value}, but must be {}", with_options(requirement)))
}

/// Text in which options with a `_` have the names of the command line.
fn with_options(text: &str) -> String {
    let word = |word: &str| match word.contains('_') {
        true => long_option(word).unwrap_or_else(|| word.to_owned()),
        false => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The option of the command line with this name of a library, if there is one.
fn long_option(name: &str) -> Option<String> {
    let long = name.replace('_', "-");
    let has =
        |command: &clap::Command| command.get_arguments().any(|option| option.get_long() == Some(&long));
    let command = Cli::command();
    (has(&command) || command.get_subcommands().any(has)).then(|| format!("--{long}"))
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
    let _ = writeln!(io::stderr(), "{}", printable(&line.to_string()));
}

/// Text with escaped control characters, so that a file name cannot control the terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    let is_obeyed = |letter: char| letter.is_control() && letter != '\n';
    if !text.contains(is_obeyed) {
        return text.into();
    }
    let escaped = |letter: char| match is_obeyed(letter) {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, io};

    use anyhow::{Context, anyhow};

    use super::{exit_code, library_sentence, sentence};

    #[test]
    fn a_cause_is_not_repeated() {
        let error = anyhow!("disk full").context("cannot write a.rttm: disk full").context("a.wav");
        assert_eq!(sentence(&error), "a.wav: cannot write a.rttm: disk full");
        assert_eq!(sentence(&anyhow!("no").context("cannot")), "cannot: no");
        let inside = anyhow!("no route").context("no route; or try later").context("a.wav");
        assert_eq!(sentence(&inside), "a.wav: no route; or try later");
    }

    #[test]
    fn options_are_called_as_on_the_command_line() {
        let refused = |option, requirement| {
            let error = diarize::Error::InvalidOption { option, value: "chunk".to_owned(), requirement };
            let error = anyhow::Error::from(error).context("a.wav");
            (sentence(&error), exit_code(&error))
        };
        assert_eq!(
            refused("reconstruction", "votes when embedding_trunk is chunk"),
            (
                "a.wav: --reconstruction is chunk, but must be votes when --embedding-trunk is chunk"
                    .to_owned(),
                2
            )
        );
        let error = diarize::Error::NoSpeakerCount;
        assert_eq!(library_sentence(&anyhow::Error::from(error)), diarize::Error::NoSpeakerCount.to_string());
        assert_eq!(
            refused("span", "two times"),
            ("a.wav: span is chunk, but must be two times".to_owned(), 1)
        );
        assert_eq!(exit_code(&anyhow!("no")), 1);
    }

    #[test]
    fn values_stay_as_they_are_but_short() {
        let refused = |value: &str| {
            let value = value.to_owned();
            sentence(
                &diarize::Error::InvalidOption { option: "decoding", value, requirement: "shorter" }.into(),
            )
        };
        assert_eq!(refused("x num_speakers"), "--decoding is x num_speakers, but must be shorter");
        let long = format!("`{}`", "ö".repeat(5000));
        assert_eq!(refused(&long), format!("--decoding is `{}…`, but must be shorter", "ö".repeat(79)));
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
