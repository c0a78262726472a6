//! Speakers are added to transcripts of other programs.

use std::{collections::BTreeMap, fs, path::Path};

use diarize::{Turn, parse_rttm};
use diarize_cli::{output::Format, transcript::Transcript};
use diarize_testkit::{Random, repository};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::common::{diarize, stderr, stdout, write_silence};

fn data() -> std::path::PathBuf {
    repository("tests/data")
}

/// The reference turns.
fn truth() -> Vec<Turn> {
    parse_rttm(&fs::read_to_string(data().join("conversation.rttm")).unwrap()).unwrap().remove(0).1
}

#[test]
fn whisper_words_of_a_conversation_get_the_right_speakers() {
    // A segment for each turn, and a word every 0.3 s whose text is its speaker.
    let segment = |turn: &Turn| {
        let count = (((turn.end - turn.start) / 0.3) as usize).max(1);
        let word = |index: usize| {
            let start = turn.start + 0.3 * index as f64;
            json!({ "word": format!(" {}", turn.speaker), "start": start, "end": start + 0.25, "probability": 0.9 })
        };
        let text = format!(" {}", turn.speaker).repeat(count);
        let words: Vec<Value> = (0..count).map(word).collect();
        json!({ "id": 0, "start": turn.start, "end": turn.end, "text": text, "tokens": [1, 2], "words": words })
    };
    let segments: Vec<Value> = truth().iter().map(segment).collect();
    let transcript = json!({ "text": "all", "segments": segments, "language": "en" });
    let directory = tempdir().unwrap();
    let path = directory.path().join("whisper.json");
    fs::write(&path, transcript.to_string()).unwrap();
    let results = directory.path().join("results");
    let audio = data().join("conversation.flac");
    let output = diarize([
        "--transcript".as_ref(),
        path.as_os_str(),
        "--format".as_ref(),
        "json,srt,vtt,txt,rttm".as_ref(),
        "--output".as_ref(),
        results.as_os_str(),
        audio.as_os_str(),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let read = |name: &str| fs::read_to_string(results.join(name)).unwrap();

    let mut named: Value = serde_json::from_str(&read("conversation.json")).unwrap();
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for segment in named["segments"].as_array_mut().unwrap() {
        let segment = segment.as_object_mut().unwrap();
        segment.remove("speaker").expect("every segment has a speaker");
        for word in segment["words"].as_array_mut().unwrap() {
            let word = word.as_object_mut().unwrap();
            let middle = word["start"].as_f64().unwrap() + 0.125;
            let speaking = truth().iter().filter(|turn| (turn.start..turn.end).contains(&middle)).count();
            let speaker = word.remove("speaker").unwrap().as_str().unwrap().to_owned();
            // Times alone cannot tell who says a word during overlap.
            if speaking == 1 {
                *counts.entry((word["word"].as_str().unwrap().trim().to_owned(), speaker)).or_default() += 1;
            }
        }
    }
    assert_eq!(named, transcript, "only the speakers were added");

    let words: usize = counts.values().sum();
    let mut right = 0;
    let mut mapping = BTreeMap::new();
    for (spoken, _) in counts.keys() {
        let of_spoken = counts.iter().filter(|((other, _), _)| other == spoken);
        let ((_, speaker), count) = of_spoken.max_by_key(|(_, count)| **count).unwrap();
        if mapping.insert(spoken, speaker).is_none() {
            right += count;
        }
    }
    assert_eq!(mapping.len(), 3);
    println!("{right} of {words} words are right");
    assert!(right as f64 > 0.9 * words as f64, "{right} of {words} words are right");

    let (srt, vtt, txt) = (read("conversation.srt"), read("conversation.vtt"), read("conversation.txt"));
    assert!(srt.starts_with("1\n00:00:0") && srt.contains("\nSPEAKER_0"), "{srt}");
    assert!(vtt.starts_with("WEBVTT\n\n00:00:0") && vtt.contains("\n<v SPEAKER_0"), "{vtt}");
    assert!(
        txt.lines().step_by(2).all(|line| line.starts_with("[00:00:") && line.contains("] SPEAKER_0")),
        "{txt}"
    );
    assert!(read("conversation.rttm").starts_with("SPEAKER conversation 1 "));
}

#[test]
fn subtitles_come_back_with_names_on_the_standard_output() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("talk.srt");
    let turns = truth();
    let (first, other) = (&turns[0], turns.iter().find(|turn| turn.speaker != turns[0].speaker).unwrap());
    let clock = |seconds: f64| format!("00:00:{seconds:06.3}").replace('.', ",");
    let cue = |turn: &Turn| format!("{} --> {}", clock(turn.start), clock(turn.end));
    fs::write(&path, format!("1\n{}\nHello\n\n2\n{}\nWelcome\nall\n\n", cue(first), cue(other))).unwrap();
    let audio = data().join("conversation.flac");
    let output = diarize(["--transcript".as_ref(), path.as_os_str(), audio.as_os_str()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines: Vec<&str> = stdout(&output).lines().collect();
    let (hello, welcome) = (lines[2].split_once(": ").unwrap(), lines[6].split_once(": ").unwrap());
    assert_eq!((lines[1], hello.1, welcome.1, lines[7]), (cue(first).as_str(), "Hello", "Welcome", "all"));
    assert!(hello.0.starts_with("SPEAKER_0") && welcome.0.starts_with("SPEAKER_0") && hello.0 != welcome.0);
}

fn turns() -> Vec<Turn> {
    let turn = |start, end, speaker: &str| Turn::new(start, end, speaker);
    vec![turn(0.0, 2.0, "Ann"), turn(2.1, 4.0, "Bob")]
}

#[test]
fn whisper_cpp_tokens_and_segments_have_speakers() {
    let token = |text: &str, from: u32, to: u32| json!({ "text": text, "offsets": { "from": from, "to": to }, "p": 0.5 });
    let document = json!({ "result": { "language": "en" }, "transcription": [
        { "timestamps": { "from": "00:00:00,000", "to": "00:00:04,000" }, "offsets": { "from": 0, "to": 4000 },
          "text": " Hello? Hi.",
          "tokens": [token("[_BEG_]", 0, 0), token(" Hel", 500, 800), token("lo?", 800, 1200), token(" Hi", 2200, 3000),
                     token(".", 3000, 3900), token("[_TT_200]", 4000, 4000)] }
    ] });
    let transcript = Transcript::parse(&document.to_string()).unwrap().with_speakers(&turns());
    let named: Value = serde_json::from_str(&transcript.render(Format::Json).unwrap().unwrap()).unwrap();
    let speakers: Vec<&Value> = named["transcription"][0]["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| &token["speaker"])
        .collect();
    assert_eq!(
        speakers,
        [&Value::Null, &json!("Ann"), &json!("Ann"), &json!("Bob"), &json!("Bob"), &Value::Null]
    );
    assert_eq!(named["transcription"][0]["speaker"], "Bob");
    assert_eq!(
        transcript.render(Format::Txt).unwrap().unwrap(),
        "[00:00:00] Ann: Hello?\n\n[00:00:02] Bob: Hi.\n"
    );
}

#[test]
fn whisperx_lists_its_words_twice() {
    let words = json!([{ "word": "Hello?", "start": 0.5, "end": 1.2, "score": 0.9 }, { "word": "2024." },
                       { "word": "Hi.", "start": 2.5, "end": 3.0, "score": 0.8 }]);
    let segment = json!({ "start": 0.5, "end": 3.0, "text": " Hello? 2024. Hi.", "words": words });
    let document = json!({ "segments": [segment], "word_segments": words });
    let transcript = Transcript::parse(&document.to_string()).unwrap().with_speakers(&turns());
    let named: Value = serde_json::from_str(&transcript.render(Format::Json).unwrap().unwrap()).unwrap();
    assert_eq!(named["segments"][0]["words"], named["word_segments"]);
    assert_eq!(named["word_segments"][0]["speaker"], "Ann");
    assert_eq!(named["word_segments"][2]["speaker"], "Bob");
    assert_eq!(named["word_segments"][1].get("start"), None, "no times are made up");
    let srt = transcript.render(Format::Srt).unwrap().unwrap();
    assert!(srt.contains("\nBob: Hi.\n"), "{srt}");
}

#[test]
fn a_bare_faster_whisper_list_and_segments_without_words_have_speakers() {
    let document = json!([{ "id": 1, "start": 0.0, "end": 1.9, "text": " Hello?", "words": null },
                          { "id": 2, "start": 2.2, "end": 3.0, "text": " Hi.", "words": null }]);
    let transcript = Transcript::parse(&document.to_string()).unwrap().with_speakers(&turns());
    let named: Value = serde_json::from_str(&transcript.render(Format::Json).unwrap().unwrap()).unwrap();
    assert_eq!((&named[0]["speaker"], &named[1]["speaker"]), (&json!("Ann"), &json!("Bob")));
    assert_eq!(named[0]["words"], Value::Null);
}

/// The transcript as text by paragraph, and its warnings.
fn read_aloud(text: &str) -> (String, Vec<String>) {
    let transcript = Transcript::parse(text).unwrap().with_speakers(&turns());
    (transcript.render(Format::Txt).unwrap().unwrap(), transcript.warnings().to_vec())
}

fn json_of(text: &str) -> Value {
    let transcript = Transcript::parse(text).unwrap().with_speakers(&turns());
    serde_json::from_str(&transcript.render(Format::Json).unwrap().unwrap()).unwrap()
}

const BOTH: &str = "[00:00:00] Ann: Hello?\n\n[00:00:02] Bob: Hi.\n";

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
        let named =
            Transcript::parse(&text).unwrap().with_speakers(&turns()).render(Format::Json).unwrap().unwrap();
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
fn words_beside_the_segments_get_speakers_and_the_segments_follow() {
    let word = |word: &str, start: f64, end: f64| json!({ "word": word, "start": start, "end": end });
    let document = json!({
        "task": "transcribe", "duration": 4.0, "text": "Hello there? Yes.",
        "segments": [{ "id": 0, "start": 0.0, "end": 3.9, "text": " Hello there? Yes.", "tokens": [1, 2] }],
        "words": [word("Hello", 0.5, 0.7), word("there", 0.7, 0.9), word("Yes", 2.2, 3.9)],
    });
    let named = json_of(&document.to_string());
    let speakers: Vec<&Value> =
        named["words"].as_array().unwrap().iter().map(|word| &word["speaker"]).collect();
    assert_eq!(speakers, ["Ann", "Ann", "Bob"]);
    assert_eq!(named["segments"][0]["speaker"], "Bob", "who says most of it");
    let (text, warnings) = read_aloud(&document.to_string());
    assert_eq!((text, warnings.len()), (BOTH.replace("Hello", "Hello there").replace("Hi", "Yes"), 0));
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
fn chunks_and_their_second_list_have_speakers() {
    let chunks = json!([{ "text": " Hello?", "timestamp": [0.5, 1.5] }, { "text": " Hi. You.", "timestamp": [2.3, null] }]);
    let document = json!({ "text": " Hello? Hi. You.", "chunks": chunks, "speakers": [] });
    assert_eq!(read_aloud(&document.to_string()).0, BOTH.replace("Hi.", "Hi. You."));
    let listed = json!([{ "text": "Hi.", "timestamp": [2.3, 3.0], "speaker": "SPEAKER_07" }]);
    let named = json_of(&json!({ "chunks": chunks, "speakers": listed }).to_string());
    assert_eq!(
        (&named["chunks"][1]["speaker"], &named["speakers"][0]["speaker"]),
        (&json!("Bob"), &json!("Bob"))
    );
}

#[test]
fn lists_beside_the_words_of_segments_have_speakers_of_their_own() {
    let words =
        json!([{ "word": "Hello?", "start": 0.5, "end": 1.5 }, { "word": "Hi.", "start": 2.3, "end": 3.0 }]);
    let segment = json!({ "start": 0.5, "end": 3.0, "text": "Hello? Hi.", "words": words });
    let listed = json!([{ "text": "Hi.", "timestamp": [2.3, 3.0] }]);
    let named =
        json_of(&json!({ "segments": [segment], "words": [words[0]], "speakers": listed }).to_string());
    assert_eq!(
        (&named["words"][0]["speaker"], &named["speakers"][0]["speaker"]),
        (&json!("Ann"), &json!("Bob"))
    );
}

#[test]
fn speakers_that_are_already_named_are_replaced() {
    let named = json!({ "segments": [
        { "start": 0.5, "end": 1.5, "text": " Hello?", "speaker": "SPEAKER_01",
          "words": [{ "word": " Hello?", "start": 0.5, "end": 1.5, "speaker": 0 }] },
        { "start": 2.3, "end": 3.0, "text": " Hi.", "speaker": null },
    ] });
    let (text, warnings) = read_aloud(&named.to_string());
    assert_eq!(text, BOTH);
    assert!(warnings[0].starts_with("a speaker is already named") && warnings[0].ends_with("and 1 more)"));
    let again = json_of(&named.to_string());
    assert_eq!(again["segments"][0]["words"][0]["speaker"], "Ann");
    for (hello, hi) in [("[SPEAKER_01]: ", ""), ("Zoe: ", "[Max] ")] {
        let srt = format!(
            "1\n00:00:00,500 --> 00:00:01,500\n{hello}Hello?\n\n2\n00:00:02,300 --> 00:00:03,000\n{hi}Hi.\n"
        );
        assert_eq!(read_aloud(&srt).0, BOTH, "{srt}");
    }
}

#[test]
fn without_speech_a_transcript_stays_as_it_was() {
    for text in [
        "\u{feff}WEBVTT\r\n\r\n00:01.000 --> 00:02.000 line:0\r\n<v Ann>Hi</v>\r\n",
        "1\r00:00:01,000 --> 00:00:02,000\r[SPEAKER_01] Hi\r",
        "{ \"b\": 1.50,\r\n\t\"segments\": [{\"speaker\":\"A\", \"start\":0,\"end\":10000000000000000000000,\"text\":\"a\"}] }\n",
    ] {
        let transcript = Transcript::parse(text).unwrap().with_speakers(&[]);
        let format = if text.starts_with('{') {
            Format::Json
        } else if text.contains("VTT") {
            Format::Vtt
        } else {
            Format::Srt
        };
        assert_eq!(transcript.render(format).unwrap().unwrap(), text);
    }
}

#[test]
fn transcripts_of_silence_are_empty() {
    for (text, format) in [
        ("", Format::Srt),
        ("\u{feff}\r\n", Format::Srt),
        ("WEBVTT\n\n", Format::Vtt),
        ("{\"segments\": []}\n", Format::Json),
    ] {
        let transcript = Transcript::parse(text).unwrap().with_speakers(&turns());
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
        let named = transcript.with_speakers(&turns());
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
    let transcript = Transcript::parse(text).unwrap().with_speakers(&turns());
    assert_eq!(
        transcript.render(Format::Vtt).unwrap().unwrap(),
        "WEBVTT\n\n00:00:01.000 --> 00:00:01.100\n<v Ann>a &lt; b\n\n"
    );
}

#[test]
fn a_day_of_cues_is_quick() {
    // One speaker for all cues: a paragraph of several megabytes. Quadratic steps would take minutes.
    const CUES: usize = 400_000;
    let cue = |index: usize| {
        let (minutes, seconds) = (index / 60, index % 60);
        format!("{minutes}:{seconds:02}.0 --> {minutes}:{seconds:02}.9\nword{index}\n\n")
    };
    let text: String = (0..CUES).map(cue).collect();
    let turns: Vec<Turn> =
        (0..CUES / 10).map(|at| Turn::new(10.0 * at as f64, 10.0 * at as f64 + 9.0, "Ann")).collect();
    let transcript = Transcript::parse(&text).unwrap().with_speakers(&turns);
    let txt = transcript.render(Format::Txt).unwrap().unwrap();
    assert_eq!((txt.lines().count(), txt.split(' ').count()), (1, CUES + 2));
    assert_eq!(transcript.render(Format::Srt).unwrap().unwrap().matches("Ann: word").count(), CUES);
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
fn a_directory_has_the_transcript_of_each_recording() {
    let directory = tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("said")).unwrap();
    let segment = |text: &str| format!(r#"{{"segments": [{{"start": 0.1, "end": 0.9, "text": "{text}"}}]}}"#);
    for (recording, transcript, text) in
        [("a.wav", "a.json", "one"), ("b.wav", "b.wav.json", "two"), ("c.wav", "", "")]
    {
        write_silence(Path::new(&path(recording)));
        if !transcript.is_empty() {
            let text = segment(text).replace(": [{", ": [\r\n\t{");
            fs::write(Path::new(&path("said")).join(transcript), text).unwrap();
        }
    }
    fs::write(Path::new(&path("said")).join("a.srt"), "less than JSON").unwrap();
    let output =
        diarize(["-q", "--transcript", &path("said"), "-f", "json,txt", "-o", &path("out"), &path("")]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("c.wav: ") && stderr(&output).contains("has no transcript c.json"));
    let read = |name: &str| fs::read_to_string(Path::new(&path("out")).join(name)).unwrap();
    assert!(read("a.json").contains("one") && read("b.json").contains("two"));
    assert!(read("a.txt").contains("one") && read("b.txt").contains("two"));

    let (a, b) = (path("a.wav"), path("b.wav"));
    let output = diarize(["-q", "--transcript", &path("said"), "-f", "json", &a, &b]);
    let expected = format!("{}\n{}\n", segment("one"), segment("two"));
    assert_eq!(stdout(&output), expected, "one document per line");
    let output = diarize(["-q", "--transcript", &path("said"), "-f", "txt", &a, &b]);
    assert_eq!(stdout(&output), format!("{a}:\n[00:00:00] one\n\n{b}:\n[00:00:00] two\n\n"));

    let output = diarize(["--transcript", &path("said"), "-f", "json", "-o", &path("said"), &path("")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("would overwrite the transcript"), "{}", stderr(&output));
}

#[test]
fn transcripts_that_cannot_be_used_are_refused_before_any_work() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("diary.txt");
    fs::write(&path, "Dear diary\n").unwrap();
    let name = path.to_str().unwrap();
    for (arguments, code, reason) in [
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
