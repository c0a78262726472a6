//! Transcripts with faults: the rest of them is used.

use std::{fs, path::Path};

use diarize::Span;
use diarize_cli::{output::Format, transcript::Transcript};
use diarize_testkit::Random;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    common::{diarize, stderr, write_silence},
    transcripts::{BOTH, json_of, read_aloud, turns},
};

/// All of a recording.
const WHOLE: Span = Span { start: 0.0, end: f64::INFINITY };

#[test]
fn spans_that_end_before_they_start_do_not_refuse_a_transcript() {
    let whisper_cpp = r#"{"transcription": [{"offsets": {"from": 500, "to": 1000}, "text": " Hello"},
        {"offsets": {"from": 16670, "to": 1110}, "text": "?"}, {"offsets": {"from": 2500, "to": 3000}, "text": " Hi."}]}"#;
    let (text, warnings) = read_aloud(whisper_cpp);
    assert_eq!(text, BOTH);
    assert_eq!(
        warnings,
        ["a span ends before it starts: it was taken as a point in time (line 2, column 9)"]
    );
    let named = json_of(whisper_cpp);
    assert_eq!(named["transcription"][1]["speaker"], "Ann");
    assert_eq!(named["transcription"][1]["offsets"], json!({ "from": 16670, "to": 1110 }), "as it was");

    let srt = "1\n00:00:01,500 --> 00:00:00,700\nHello?\n\n2\n00:00:02,300 --> 00:00:03,000\nHi.\n";
    let (text, warnings) = read_aloud(srt);
    assert_eq!((text.as_str(), warnings.len()), (BOTH.replace("00:00:00", "00:00:01").as_str(), 1));
    assert!(warnings[0].ends_with("(line 2)"), "{warnings:?}");
}

#[test]
fn numbers_that_are_not_finite_do_not_refuse_a_transcript() {
    for (score, start) in [("NaN", "0.5"), ("Infinity", "NaN"), ("-Infinity", "null"), ("1e999", "1e999")] {
        let text = format!(
            r#"{{"segments": [{{"start": {start}, "end": 4.0, "text": " Hello? Hi.", "words": [
               {{"word": "Hello?", "start": {start}, "end": 1.0, "score": {score}}},
               {{"word": "Hi.", "start": 2.5, "end": 3.0, "score": 0.5}}]}}]}}"#
        );
        let (read, warnings) = read_aloud(&text);
        assert!(read.ends_with("Ann: Hello?\n\n[00:00:02] Bob: Hi.\n"), "{read}");
        assert!(!warnings.is_empty() && warnings.len() <= 2, "{warnings:?}");
        let named = Transcript::parse(&text)
            .unwrap()
            .with_speakers(&turns(), WHOLE)
            .render(Format::Json)
            .unwrap()
            .unwrap();
        assert!(named.contains(&format!("\"score\": {score}, \"speaker\": \"Ann\"")), "{named}");
    }
}

#[test]
fn blank_lines_inside_cues_and_between_none_do_not_refuse_subtitles() {
    let srt = "1\n00:00:00,500 --> 00:00:01,500\nHello,\n\nyou?\n\n305\n00:00:02,300 --> 00:00:03,000\nHi.\n";
    let expected = BOTH.replace("Hello", "Hello, you");
    for text in
        [srt.to_owned(), srt.replace("\n\n", "\n"), srt.replace('\n', "\r\n"), srt.replace('\n', "\r")]
    {
        let (read, warnings) = read_aloud(&text);
        assert_eq!((read, warnings.len()), (expected.clone(), 1), "{text:?}");
    }
}

#[test]
fn cues_need_no_order() {
    let srt = "2\n00:00:02,300 --> 00:00:03,000\nHi.\n\n1\n00:00:00,500 --> 00:00:01,500\nHello?\n";
    assert_eq!(read_aloud(srt).0, "[00:00:02] Bob: Hi.\n\n[00:00:00] Ann: Hello?\n");
    let words = r#"[{"word": "Hi.", "start": 2.3, "end": 3}, {"word": "Hello?", "start": 0.5, "end": 1.5}]"#;
    let named = json_of(words);
    assert_eq!((&named[0]["speaker"], &named[1]["speaker"]), (&json!("Bob"), &json!("Ann")));
}

#[test]
fn words_without_any_times_share_the_time_of_their_segment() {
    let words: Vec<Value> = ["a", "b", "c", "d"].iter().map(|word| json!({ "word": word })).collect();
    let named =
        json_of(&json!([{ "start": 0.0, "end": 4.0, "text": "a b c d", "words": words }]).to_string());
    let words = named[0]["words"].as_array().unwrap();
    assert_eq!(words.iter().map(|word| &word["speaker"]).collect::<Vec<_>>(), ["Ann", "Ann", "Bob", "Bob"]);
    assert_eq!(words[0].get("start"), None, "no times are made up");
}

#[test]
fn transcripts_of_silence_are_empty() {
    for (text, format) in [
        ("", Format::Srt),
        ("\u{feff}\r\n", Format::Srt),
        ("WEBVTT\n\n", Format::Vtt),
        ("{\"segments\": []}\n", Format::Json),
    ] {
        let transcript = Transcript::parse(text).unwrap().with_speakers(&turns(), WHOLE);
        assert_eq!(transcript.render(format).unwrap().unwrap(), text);
        assert_eq!(transcript.render(Format::Txt).unwrap().unwrap(), "");
    }
}

#[test]
fn mutated_transcripts_are_read_or_refused_and_never_crash() {
    let sources = [
        "\u{feff}1\n00:00:00,500 --> 00:00:01,500\nSPEAKER_00: Hel\n\nlo\n\n2\n00:00:02,300 --> 00:00:03,000\n[Ann] Hi\r\n",
        "WEBVTT\n\nNOTE a\n\n1\n00:01.000 --> 00:02.000\n<v.x Ann>Hi</v> <i>\u{fc}\n\nmore\n00:03.000 --> 00:04.000\n",
        r#"{"segments":[{"start":0,"end":4,"text":" a b\u00e9 c.","words":[{"word":" a","start":0.5},{"word":"b\u00e9","end":NaN},{}]}],
           "words":[{"word":"c"}],"speakers":[{"timestamp":[1,null],"speaker":"x","text":"y"}]}"#,
    ];
    let pieces = [
        "\n", "\r", "\n\n", "-->", "00:05", ":", "1\n", "\u{feff}", "<v B>", "NOTE", "[", "}", ",", "NaN",
        "\"", " ",
    ];
    let (mut random, mut read) = (Random(1), 0);
    let mut below = |count: usize| ((random.signed() + 1.0) / 2.0 * count as f32) as usize;
    for round in 0..6000 {
        let mut letters: Vec<char> = sources[round % sources.len()].chars().collect();
        for _ in 0..1 + below(3) {
            let from = below(letters.len());
            let to = (from + below(8)).min(letters.len());
            letters.splice(from..to, pieces[below(pieces.len())].chars());
        }
        let Ok(transcript) = Transcript::parse(&letters.iter().collect::<String>()) else { continue };
        let named = transcript.with_speakers(&turns(), WHOLE);
        for format in [Format::Json, Format::Srt, Format::Vtt, Format::Txt] {
            let text = named.render(format).unwrap().unwrap();
            let again = if format == Format::Txt { Ok(named.clone()) } else { Transcript::parse(&text) };
            assert!(again.is_ok(), "{text:?}: {:#}", again.unwrap_err());
        }
        read += 1;
    }
    assert!(read > 3000, "only {read} were read");
}

#[test]
fn words_at_a_point_in_time_are_shown() {
    let text = r#"[{"start": 1.0, "end": 1.0, "text": "a < b"}]"#;
    let transcript = Transcript::parse(text).unwrap().with_speakers(&turns(), WHOLE);
    assert_eq!(
        transcript.render(Format::Vtt).unwrap().unwrap(),
        "WEBVTT\n\n00:00:01.000 --> 00:00:01.100\n<v Ann>a &lt; b\n\n"
    );
}

#[test]
fn faults_of_transcripts_are_warnings_of_their_recordings() {
    let directory = tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("said")).unwrap();
    let srt = "1\n00:00:00,100 --> 00:00:00,900\nGr\u{fc}\u{df}e\n";
    let utf16: Vec<u8> = [0xfeff].into_iter().chain(srt.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let latin: Vec<u8> = srt.chars().map(|letter| letter as u8).collect();
    for (name, bytes) in [("a.srt", utf16), ("b.srt", latin)] {
        fs::write(Path::new(&path("said")).join(name), bytes).unwrap();
    }
    fs::write(
        path("said/c.json"),
        r#"[{"start": 2, "end": 1, "text": "a"}, {"start": 3, "end": 1, "text": "a"}]"#,
    )
    .unwrap();
    ["a.wav", "b.wav", "c.wav"].iter().for_each(|name| write_silence(Path::new(&path(name))));
    let output = diarize(["--transcript", &path("said"), "-f", "txt", "-o", &path("out"), &path("")]);
    assert!(output.status.success(), "{}", stderr(&output));
    for (transcript, warning) in [
        ("a.srt", "the text is UTF-16LE: results are UTF-8\n"),
        ("b.srt", "the text is not UTF-8 (line 3): it was read as Windows-1252"),
        (
            "c.json",
            "a span ends before it starts: it was taken as a point in time (line 1, column 2, and 1 more)\n",
        ),
    ] {
        let warning =
            format!("transcript {}: {warning}", Path::new(&path("said")).join(transcript).display());
        assert_eq!(stderr(&output).matches(&warning).count(), 1, "{}", stderr(&output));
    }
    for name in ["a.txt", "b.txt"] {
        assert_eq!(
            fs::read_to_string(Path::new(&path("out")).join(name)).unwrap(),
            "[00:00:00] Gr\u{fc}\u{df}e\n"
        );
    }
}

#[test]
fn transcripts_that_cannot_be_used_are_refused_before_any_work() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("diary.txt");
    fs::write(&path, "Dear diary\n").unwrap();
    let name = path.to_str().unwrap();
    let written = directory.path().join("talk.txt");
    fs::write(&written, "[00:00:01] Ann: Hello.\n").unwrap();
    for (arguments, code, reason) in [
        (vec!["--transcript", written.to_str().unwrap(), "no.wav"], 1, "not JSON, SRT or WebVTT"),
        (vec!["--transcript", name, "no.wav"], 1, "not JSON, SRT or WebVTT: no line has times"),
        (vec!["--transcript", name, "no.wav"], 1, "the first line is `Dear diary`"),
        (vec!["--transcript", "no.json", "no.wav"], 1, "transcript no.json"),
        (
            vec!["--transcript", name, "a.wav", "b.wav"],
            2,
            "--transcript is a single file, but there are several recordings",
        ),
        (vec!["--transcript", name, "-o", name, "a.wav"], 2, "would overwrite the transcript"),
        (vec!["--transcript", name, "--embeddings", "a.wav"], 2, "cannot be used with"),
    ] {
        let output = diarize(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(reason), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn lines_outside_the_diarized_part_have_no_speaker() {
    let text = "1\n00:00:00,500 --> 00:00:01,500\nbefore\n\n2\n00:00:02,500 --> 00:00:03,500\ninside\n\n\
                3\n00:00:09,000 --> 00:00:10,000\nafter\n";
    let diarized = Span { start: 2.0, end: 5.0 };
    let transcript = Transcript::parse(text).unwrap();
    assert_eq!(transcript.count_outside(diarized), (2, 3));
    let named = transcript.with_speakers(&[diarize::Turn::new(2.0, 4.0, "Ann")], diarized);
    let expected = text.replace("inside", "Ann: inside");
    assert_eq!(named.render(Format::Srt).unwrap().unwrap(), expected);
}

#[test]
fn old_names_outside_the_diarized_part_are_removed() {
    let diarized = Span { start: 2.0, end: 5.0 };
    let turns = [diarize::Turn::new(2.0, 4.0, "Ann")];
    let srt = "1\n00:00:00,500 --> 00:00:01,500\nSPEAKER_07: before\n\n2\n00:00:02,500 --> 00:00:03,500\nSPEAKER_07: inside\n";
    let named = Transcript::parse(srt).unwrap().with_speakers(&turns, diarized);
    let expected = srt.replace("SPEAKER_07: before", "before").replace("SPEAKER_07: inside", "Ann: inside");
    assert_eq!(named.render(Format::Srt).unwrap().unwrap(), expected);
    let json = "[{\"start\": 0.5, \"end\": 1.5, \"text\": \"before\", \"speaker\": \"SPEAKER_07\"}, \
                {\"start\": 2.5, \"end\": 3.5, \"text\": \"inside\", \"speaker\": \"SPEAKER_07\"}]\n";
    let named = Transcript::parse(json).unwrap().with_speakers(&turns, diarized);
    let expected = json.replacen("\"SPEAKER_07\"", "null", 1).replace("SPEAKER_07", "Ann");
    assert_eq!(named.render(Format::Json).unwrap().unwrap(), expected);
}
