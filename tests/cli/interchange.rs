//! Names, text files and formats that other programs write and read.

use std::{collections::BTreeSet, fs, path::Path};

use diarize::parse_rttm;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::common::{diarize_bytes, diarize_in, stderr, stdout, write_excerpt, write_silence};

const RTTM: &str = "\
SPEAKER rec 1 5.00 5.00 <NA> <NA> spk01 <NA>
SPEAKER rec 1 10.00 10.00 <NA> <NA> spk00 <NA>
";

fn desk(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("ref.rttm"), RTTM).unwrap();
    for (name, bytes) in files {
        fs::write(directory.path().join(name), bytes).unwrap();
    }
    directory
}

/// The scores of recordings, or the error.
fn score(directory: &Path, arguments: &[&str]) -> Result<Value, String> {
    let output = diarize_in(directory, &[&["score", "-f", "json"], arguments].concat());
    match output.status.success() {
        true => Ok(serde_json::from_str(stdout(&output)).unwrap()),
        false => Err(stderr(&output).to_owned()),
    }
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(bytes).collect()
}

/// The case of a file and a speaker with spaces in their names.
#[test]
fn an_rttm_line_with_spaces_in_its_names_is_read_whole() {
    let line = b"SPEAKER my file 1 5.00 5.00 <NA> <NA> Ann <NA> <NA>\n";
    let desk = desk(&[("fs.rttm", line)]);
    let shown = diarize_in(desk.path(), &["show", "--width", "46", "fs.rttm"]);
    let expected = "\
my file  0:10  1 speaker  1 turn
         ╷0:00     ╷0:05
Ann      ··········██████████      0:05   50 %
";
    assert_eq!(stdout(&shown), expected, "{}", stderr(&shown));
    let scores = score(desk.path(), &["fs.rttm", "ref.rttm"]).unwrap();
    assert_eq!(scores["recordings"][0]["recording"], "my_file");
    assert_eq!(scores["recordings"][0]["mapping"]["Ann"], "spk01");
    assert_eq!((&scores["total"]["speech"], &scores["total"]["correct"]), (&5.0.into(), &5.0.into()));

    fs::write(desk.path().join("fs.rttm"), "SPEAKER x 1 0 1 <NA> <NA> Speaker 2 <NA>\n").unwrap();
    let error = score(desk.path(), &["fs.rttm", "ref.rttm"]).unwrap_err();
    let parts = ["fs.rttm: line 1 is not valid RTTM", "names must not contain spaces; replace them"];
    assert!(parts.iter().all(|part| error.contains(part)) && error.lines().count() == 1, "{error}");
}

#[test]
fn byte_order_marks_and_utf_16_change_nothing() {
    let marked = format!("\u{feff}{RTTM}");
    let (little, big) = (utf16(RTTM, u16::to_le_bytes), utf16(RTTM, u16::to_be_bytes));
    let uem = utf16("rec 1 0 12\n", u16::to_le_bytes);
    let desk = desk(&[
        ("bom.rttm", marked.as_bytes()),
        ("le.rttm", &little),
        ("be.rttm", &big),
        ("plain.uem", b"rec 1 0 12\n"),
        ("bom.uem", b"\xef\xbb\xbfrec 1 0 12\n"),
        ("le.uem", &uem),
    ]);
    let expected = score(desk.path(), &["ref.rttm", "ref.rttm"]).unwrap();
    assert_eq!(expected["total"]["correct"], 15.0);
    for found in ["bom.rttm", "le.rttm", "be.rttm"] {
        assert_eq!(score(desk.path(), &["ref.rttm", found]).as_ref(), Ok(&expected), "{found}");
    }
    let output = diarize_bytes(&["show", "-"], &little);
    assert!(stdout(&output).starts_with("rec  0:20  2 speakers"), "{}", stderr(&output));
    let part = score(desk.path(), &["--uem", "plain.uem", "ref.rttm", "ref.rttm"]).unwrap();
    assert_eq!(part["total"]["speech"], 7.0);
    for uem in ["bom.uem", "le.uem"] {
        assert_eq!(score(desk.path(), &["--uem", uem, "ref.rttm", "ref.rttm"]).as_ref(), Ok(&part), "{uem}");
    }
}

#[test]
fn lists_and_settings_may_start_with_a_byte_order_mark() {
    let desk = desk(&[
        ("bom.txt", b"\xef\xbb\xbf# Monday\nno.wav\n"),
        ("le.txt", &utf16("no.wav\r\n", u16::to_le_bytes)),
    ]);
    for list in ["bom.txt", "le.txt"] {
        let output = diarize_in(desk.path(), &["--files-from", list]);
        assert!(stderr(&output).contains("no.wav: no such file"), "{}", stderr(&output));
    }
    for settings in [
        b"\xef\xbb\xbf[score]\nformat = \"csv\"\n".to_vec(),
        utf16("[score]\nformat = \"csv\"\n", u16::to_be_bytes),
    ] {
        fs::write(desk.path().join("diarize.toml"), settings).unwrap();
        let output = diarize_in(desk.path(), &["score", "ref.rttm", "ref.rttm"]);
        assert!(stdout(&output).starts_with("recording,der"), "{}", stderr(&output));
    }
}

#[test]
fn bytes_that_are_not_text_get_one_sentence() {
    let desk = desk(&[("zeros.rttm", &[0; 64]), ("latin1.rttm", b"SPEAKER r 1 0 1 <NA> <NA> Zo\xeb <NA>\n")]);
    write_silence(&desk.path().join("talk.wav"));
    let sentence = |arguments: &[&str], expected: &str| {
        let output = diarize_in(desk.path(), arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(stderr(&output).contains(expected), "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("stream did not"), "{}", stderr(&output));
    };
    sentence(&["show", "talk.wav"], "error: talk.wav is a recording, not RTTM, STM, ELAN or JSON");
    sentence(&["score", "ref.rttm", "talk.wav"], "talk.wav is a recording, not RTTM, STM, ELAN or JSON");
    sentence(&["score", "--uem", "talk.wav", "ref.rttm", "ref.rttm"], "talk.wav is a recording, not UEM");
    sentence(&["--files-from", "talk.wav"], "talk.wav is a recording, not a list of files");
    sentence(
        &["--config", "talk.wav", "score", "ref.rttm", "ref.rttm"],
        "talk.wav is a recording, not settings",
    );
    sentence(&["tune", "--reference", "talk.wav", "talk.wav"], "talk.wav is a recording, not RTTM");
    sentence(&["show", "zeros.rttm"], "zeros.rttm is not RTTM, STM, ELAN or JSON: it contains zero bytes");
    sentence(&["show", "latin1.rttm"], "line 1 is not UTF-8: if the file is text, save it as UTF-8");
    sentence(&["show", "."], ". is a directory, not RTTM, STM, ELAN or JSON");
}

#[test]
fn impossible_times_are_one_sentence_and_no_endless_work() {
    let json = r#"{"uri": "a", "duration": 9, "turns": [{"start": 0, "end": 1e12, "speaker": "A"}]}"#;
    let nan = r#"{"uri": "a", "duration": 9, "turns": [{"start": NaN, "end": 1, "speaker": "A"}]}"#;
    let eaf = "<ANNOTATION_DOCUMENT><TIME_SLOT TIME_SLOT_ID=\"t\" TIME_VALUE=\"1000000000000000\"/>\
               <TIER TIER_ID=\"A\"><ALIGNABLE_ANNOTATION TIME_SLOT_REF1=\"t\" TIME_SLOT_REF2=\"t\"/></TIER>\
               </ANNOTATION_DOCUMENT>";
    for (text, reason) in [
        ("SPEAKER a 1 1e12 1 <NA> <NA> A <NA> <NA>", "the start is 1e12, but times are in seconds"),
        ("SPEAKER a 1 0 NaN <NA> <NA> A <NA> <NA>", "the duration is `NaN`, not a number of seconds"),
        (json, "a has a turn of A from 0 s to 1000000000000 s, but times must be"),
        (nan, "line 1 contains NaN, which is not a number in JSON"),
        (eaf, "hyp has a turn of A from 1000000000000 s"),
        ("a 1 A 0 1e12", "a has a turn of A from 0 s to 1000000000000 s"),
    ] {
        let desk = desk(&[("hyp", text.as_bytes())]);
        for arguments in [&["show", "hyp"][..], &["score", "ref.rttm", "hyp"], &["score", "hyp", "ref.rttm"]]
        {
            let output = diarize_in(desk.path(), arguments);
            assert_eq!(
                (output.status.code(), stderr(&output).lines().count()),
                (Some(1), 1),
                "{arguments:?}"
            );
            let expected = format!("error: hyp: {reason}");
            let found = stderr(&output).replace("line 1 is not valid RTTM: ", "");
            assert!(found.starts_with(&expected), "{arguments:?}: {}", stderr(&output));
        }
    }
    let desk = desk(&[]);
    let wide = diarize_in(desk.path(), &["show", "--width", "1000000000000", "ref.rttm"]);
    assert_eq!(wide.status.code(), Some(2), "{}", stderr(&wide));
}

#[test]
fn scores_give_the_right_reason() {
    let desk = desk(&[
        ("none.rttm", b";; nobody speaks\n"),
        ("ms.rttm", b"SPEAKER rec 1 5000 5000 <NA> <NA> A <NA>\n"),
        ("other.uem", b"other 1 0 9\n"),
        ("late.uem", b"rec 1 100 200\n"),
    ]);
    for (arguments, code, expected) in [
        (&["none.rttm", "ref.rttm"][..], 1, "error: the reference none.rttm contains no turns\n"),
        (
            &["ref.rttm", "ms.rttm"],
            0,
            "warning: rec ends at 10000 s in the results and at 20 s in the reference: are the times of the results \
             in milliseconds instead of seconds?\n",
        ),
        (
            &["--uem", "other.uem", "ref.rttm", "ref.rttm"],
            1,
            "warning: rec is skipped: it is not in the UEM file\nerror: there is nothing to score: no recording of \
             the reference is in the UEM file, which contains other\n",
        ),
        (
            &["--uem", "late.uem", "ref.rttm", "ref.rttm"],
            0,
            "warning: no turn of rec in the reference is within the spans of the UEM file\n",
        ),
    ] {
        let output = diarize_in(desk.path(), &[&["score"], arguments].concat());
        assert_eq!((output.status.code(), stderr(&output)), (Some(code), expected), "{arguments:?}");
    }
}

#[test]
fn elan_and_stm_are_scored_like_rttm() {
    let slots = [5000, 10_000, 10_000, 20_000].iter().enumerate();
    let slots: String = slots
        .map(|(id, time)| format!("<TIME_SLOT TIME_SLOT_ID=\"ts{id}\" TIME_VALUE=\"{time}\"/>"))
        .collect();
    let tier = |name: &str, slot: usize| {
        format!(
            "<TIER LINGUISTIC_TYPE_REF=\"default-lt\" TIER_ID=\"{name}\"><ANNOTATION><ALIGNABLE_ANNOTATION \
             ANNOTATION_ID=\"a{slot}\" TIME_SLOT_REF1=\"ts{slot}\" TIME_SLOT_REF2=\"ts{}\"><ANNOTATION_VALUE>hello\
             </ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION></TIER>",
            slot + 1
        )
    };
    let eaf = format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ANNOTATION_DOCUMENT FORMAT=\"3.0\"><HEADER>\
         <MEDIA_DESCRIPTOR MEDIA_URL=\"file:///C:/talks/rec.wav\" MIME_TYPE=\"audio/x-wav\"/></HEADER>\
         <TIME_ORDER>{slots}</TIME_ORDER>{}{}</ANNOTATION_DOCUMENT>",
        tier("spk01", 0),
        tier("spk00", 2)
    );
    let stm = ";; made by hand\nrec A inter_segment_gap 0 5 <o,,>\nrec A spk01 5 10 <o,f0,male> good morning\n\
               rec A spk00 10 20 hello\nrec A spk00 20 30 ignore_time_segment_in_scoring\n";
    let desk = desk(&[("rec.eaf", eaf.as_bytes()), ("rec.stm", stm.as_bytes())]);
    let expected = score(desk.path(), &["ref.rttm", "ref.rttm"]).unwrap();
    for reference in ["rec.eaf", "rec.stm"] {
        assert_eq!(score(desk.path(), &[reference, "ref.rttm"]).as_ref(), Ok(&expected), "{reference}");
    }
    let shown = diarize_in(desk.path(), &["show", "rec.stm", "rec.eaf"]);
    assert_eq!(stdout(&shown).matches("rec  0:20  2 speakers  2 turns").count(), 2, "{}", stdout(&shown));
    assert!(stderr(&shown).contains("1 segments with ignore_time_segment_in_scoring"), "{}", stderr(&shown));
}

/// Writes the beginning of the sample conversation, which is processed fast, and returns two of its speakers.
fn conversation(directory: &Path) -> [String; 2] {
    write_excerpt(28, &directory.join("my talk.wav"), &directory.join("my_talk.rttm"));
    fs::write(directory.join("diarize.toml"), "embedding-trunk = \"shared\"\n").unwrap();
    let truth =
        fs::read_to_string(directory.join("my_talk.rttm")).unwrap().replace("conversation", "my_talk");
    fs::write(directory.join("my_talk.rttm"), &truth).unwrap();
    let turns = parse_rttm(&truth).unwrap().remove(0).1;
    let speakers: BTreeSet<String> = turns.into_iter().map(|turn| turn.speaker).collect();
    let mut speakers = speakers.into_iter();
    [speakers.next().unwrap(), speakers.next().unwrap()]
}

/// Two people whose names differ only in white space, in every format that is read again.
#[test]
fn names_that_differ_only_in_white_space_stay_two_people() {
    let desk = desk(&[]);
    let speakers = conversation(desk.path());
    for (name, speaker) in ["Ann B", "Ann_B"].iter().zip(&speakers) {
        let segments = ["--segments", "my_talk.rttm", "--speaker", speaker];
        let output = diarize_in(desk.path(), &[&["enroll", name, "my talk.wav"][..], &segments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let arguments =
        ["--identify", "speakers.safetensors", "-f", "rttm,json,stm,eaf", "-o", "out", "my talk.wav"];
    let output = diarize_in(desk.path(), &arguments);
    assert!(
        stderr(&output).contains(
            "`Ann B` is called `Ann_B_2` in RTTM and STM, because another speaker is called `Ann_B`"
        ),
        "{}",
        stderr(&output)
    );
    let mapping =
        |result: &str| score(desk.path(), &["out/my talk.json", result]).unwrap()["recordings"][0].clone();
    for (result, ann) in
        [("out/my talk.rttm", "Ann_B_2"), ("out/my talk.stm", "Ann_B_2"), ("out/my talk.eaf", "Ann B")]
    {
        let found = mapping(result);
        assert_eq!(found["recording"], "my_talk");
        assert_eq!(
            (&found["mapping"]["Ann B"], &found["mapping"]["Ann_B"]),
            (&ann.into(), &"Ann_B".into()),
            "{result}"
        );
        assert!(found["diarization_error_rate"].as_f64().unwrap() < 2e-3, "{result}: {found}");
    }
    let eaf = fs::read_to_string(desk.path().join("out/my talk.eaf")).unwrap();
    assert!(eaf.contains("MEDIA_URL=\"../my talk.wav\" MIME_TYPE=\"audio/x-wav\""), "{eaf}");
}

#[test]
fn recordings_that_would_share_a_name_are_refused() {
    let desk = desk(&[]);
    for name in ["my talk.wav", "my_talk.wav"] {
        write_silence(&desk.path().join(name));
    }
    let reason = "my talk.wav and my_talk.wav would both be called my_talk in the result: rename one";
    for arguments in [
        &["my talk.wav", "my_talk.wav"][..],
        &["-f", "stm", "my talk.wav", "my_talk.wav"],
        &["-o", "out/", "my talk.wav", "my_talk.wav"],
        &["vad", "my talk.wav", "my_talk.wav"],
    ] {
        let output = diarize_in(desk.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(reason), "{arguments:?}: {}", stderr(&output));
    }
    let twice = diarize_in(desk.path(), &["my talk.wav", "./my talk.wav"]);
    let expected = "my talk.wav and ./my talk.wav are the same file: name it once";
    assert!(stderr(&twice).contains(expected), "{}", stderr(&twice));
    for arguments in [
        &["-f", "csv", "my talk.wav", "my_talk.wav"][..],
        &["vad", "-f", "csv", "my talk.wav", "my_talk.wav"],
    ] {
        let output = diarize_in(desk.path(), arguments);
        assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn names_like_formulas_are_text_in_spreadsheets() {
    let desk = desk(&[("hyp.rttm", RTTM.replace("rec", "=1+1").as_bytes())]);
    let output = diarize_in(desk.path(), &["score", "-f", "csv", "hyp.rttm", "hyp.rttm"]);
    assert!(stdout(&output).contains("\n'=1+1,0.000000,"), "{}", stdout(&output));
    write_silence(&desk.path().join("=2.wav"));
    let output = diarize_in(desk.path(), &["vad", "-f", "csv", "=2.wav"]);
    assert_eq!(stdout(&output), "file,start,end,duration\n");
}
