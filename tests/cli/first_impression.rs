//! The line about a better model. `script` of util-linux is the terminal.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

use diarize_testkit::repository;
use tempfile::{TempDir, tempdir};

use crate::common::{diarize, stderr, write_i16, write_silence};

const LINE: &str = "diarize model download community-1";

/// A folder with a recording of `seconds`, in which nobody speaks.
fn desk(seconds: usize) -> TempDir {
    let desk = tempdir().unwrap();
    write_i16(&desk.path().join("talk.wav"), 16_000, 1, &vec![0; seconds * 16_000]);
    desk
}

/// Runs the program in a terminal and returns what it shows.
fn shown(desk: &TempDir, arguments: &str) -> String {
    let program = env!("CARGO_BIN_EXE_diarize");
    let list = desk.path().join("catalogue.toml");
    let mut command = Command::new("script");
    match list.exists() {
        true => command.env("DIARIZE_CATALOGUE", list),
        false => command.env_remove("DIARIZE_CATALOGUE"),
    };
    let output = command
        .args(["--quiet", "--return", "--command", &format!("{program} {arguments}"), "/dev/null"])
        .current_dir(desk.path())
        .env("XDG_STATE_HOME", desk.path().join("state"))
        .env("DIARIZE_MODELS", desk.path().join("models"))
        .env_remove("DIARIZE_MODEL")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments}: {text}");
    text
}

#[test]
fn a_better_model_is_recommended_once_a_week() {
    let desk = desk(121);
    let text = shown(&desk, "talk.wav");
    assert_eq!(text.matches(LINE).count(), 1, "{text}");
    assert!(!shown(&desk, "talk.wav").contains(LINE), "not twice in a week");
    let stamp = desk.path().join("state/diarize/recommended");
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    fs::File::options().write(true).open(stamp).unwrap().set_modified(SystemTime::now() - week).unwrap();
    assert!(shown(&desk, "talk.wav -o talk.rttm").contains(LINE));
}

#[test]
fn a_model_that_the_list_does_not_have_is_not_recommended() {
    let desk = desk(121);
    let list = desk.path().join("catalogue.toml");
    for content in ["model = []\nlicenses = {}\n", "damaged"] {
        fs::write(&list, content).unwrap();
        assert!(!shown(&desk, "talk.wav").contains(LINE), "{content}");
    }
    fs::remove_file(list).unwrap();
    assert!(shown(&desk, "talk.wav").contains(LINE), "the week has not begun");
}

#[cfg(feature = "words")]
mod needs_whisper {
    use super::{LINE, desk, shown};

    #[test]
    #[ignore = "needs Whisper tiny.en"]
    fn for_words_a_better_model_finds_speakers_better() {
        let desk = desk(121);
        let text = shown(&desk, "transcribe --whisper $DIARIZE_WHISPER talk.wav");
        assert!(text.contains(LINE) && text.contains("finds speakers better than the bundled one"), "{text}");
    }
}

#[test]
fn nothing_is_recommended_where_nobody_asks_for_it() {
    let desk = desk(121);
    let model = repository("weights/default");
    for arguments in [
        "--quiet talk.wav",
        "talk.wav > turns.rttm",
        "talk.wav 2> messages.txt",
        "talk.wav | cat",
        &format!("--model {} talk.wav", model.display()),
        "--end 1:59 talk.wav",
    ] {
        assert!(!shown(&desk, arguments).contains(LINE), "{arguments}");
    }
    let silence = desk.path().join("short.wav");
    write_silence(&silence);
    assert!(!shown(&desk, "short.wav").contains(LINE));
    let piped = diarize([desk.path().join("talk.wav")]);
    assert!(piped.status.success() && !stderr(&piped).contains(LINE), "{}", stderr(&piped));
    assert!(!desk.path().join("state").exists(), "nothing was stored");
    assert!(shown(&desk, "talk.wav").contains(LINE));
}
