//! Results drawn in the terminal.

use std::fs;

use tempfile::tempdir;

use crate::common::{diarize, diarize_bytes, stderr, stdout};

const RTTM: &str = "SPEAKER talk 1 0.000 30.000 <NA> <NA> Ann <NA> <NA>\n\
                    SPEAKER talk 1 20.000 20.000 <NA> <NA> Bob <NA> <NA>\n";

#[test]
fn an_rttm_file_is_drawn() {
    let directory = tempdir().unwrap();
    let file = directory.path().join("talk.rttm");
    fs::write(&file, RTTM).unwrap();
    let output = diarize(["show".as_ref(), "--width".as_ref(), "46".as_ref(), file.as_os_str()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let expected = "\
talk  0:40  2 speakers  2 turns
         ╷0:00          ╷0:30
Ann      ███████████████·····      0:30   75 %
Bob      ··········██████████      0:20   50 %
overlap  ··········█████·····      0:10   25 %
";
    assert_eq!(stdout(&output), expected);
}

#[test]
fn a_part_of_a_pipe_is_drawn_in_color() {
    let arguments = ["show", "--from", "0:30", "--to", "0:40", "--width", "46", "--color", "always", "-"];
    let output = diarize_bytes(&arguments, RTTM.as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("\x1b[38;5;32mAnn      ····················\x1b[0m"), "{text}");
    assert!(text.contains("Bob      ████████████████████\x1b[0m"), "{text}");
}

#[test]
fn errors_are_one_sentence() {
    for (arguments, input, reason) in [
        (
            &["show", "-"][..],
            "minutes of the meeting\n",
            "-: neither RTTM, STM, ELAN nor diarize's JSON: line 1 is not valid RTTM: its type `minutes`",
        ),
        (
            &["show", "-"],
            r#"{"text": "Hi.", "segments": []}"#,
            "-: a transcript, not turns: use `diarize -f json` or RTTM",
        ),
        (&["show", "--from", "60", "-"], RTTM, "-: talk ends at 0:40"),
        (&["show", "--from", "9", "--to", "8", "no.rttm"], "", "--from must be before --to"),
        (&["show", "no.rttm"], "", "cannot read no.rttm: no such file"),
    ] {
        let output =
            if input.is_empty() { diarize(arguments) } else { diarize_bytes(arguments, input.as_bytes()) };
        let code = if arguments.contains(&"--to") { 2 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(stderr(&output).starts_with(&format!("error: {reason}")), "{}", stderr(&output));
        assert_eq!(stderr(&output).lines().count(), 1);
    }
}
