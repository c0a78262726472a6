//! Speakers are added to transcripts of other programs.

use std::{collections::BTreeMap, fs, path::Path};

use diarize::{Span, Turn, parse_rttm};
use diarize_cli::{output::Format, transcript::Transcript};
use diarize_testkit::repository;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::common::{diarize, stderr, stdout, write_excerpt, write_silence};

/// All of a recording.
const WHOLE: Span = Span { start: 0.0, end: f64::INFINITY };

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

#[test]
fn spreadsheets_have_the_text_or_the_words() {
    let directory = tempdir().unwrap();
    let turns = truth();
    let (first, other) = (&turns[0], turns.iter().find(|turn| turn.speaker != turns[0].speaker).unwrap());
    let segment = |turn: &Turn| {
        let (start, end) = (turn.start, turn.end);
        let middle = 0.5 * (start + end);
        json!({ "start": start, "end": end, "text": " =Yes, \"you\"", "words": [
            { "word": " =Yes,", "start": start, "end": middle }, { "word": " \"you\"", "start": middle, "end": end }] })
    };
    let path = directory.path().join("talk.json");
    fs::write(&path, json!({ "segments": [segment(first), segment(other)] }).to_string()).unwrap();
    let audio = directory.path().join("conversation.wav");
    write_excerpt(15, &audio, &directory.path().join("conversation.rttm"));
    let run = |options: &[&str]| {
        let output =
            diarize([&["--transcript", path.to_str().unwrap(), audio.to_str().unwrap()], options].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output).to_owned()
    };
    let passages = run(&["-f", "csv"]);
    let lines: Vec<&str> = passages.lines().collect();
    assert_eq!((lines.len(), lines[0]), (3, "file,start,end,duration,speaker,text"));
    let Turn { start, end, .. } = first;
    let times = format!("{start:.3},{end:.3},{:.3},SPEAKER_0", end - start);
    assert!(lines[1].contains(&times) && lines[1].ends_with(",\"'=Yes, \"\"you\"\"\""), "{passages}");
    let words = run(&["-f", "csv", "--words"]);
    let texts: Vec<&str> = words.lines().map(|line| line.splitn(6, ',').nth(5).unwrap()).collect();
    let [yes, you] = ["\"'=Yes,\"", "\"\"\"you\"\"\""];
    assert_eq!(texts, ["text", yes, you, yes, you]);
    assert_eq!(run(&["-f", "srt", "--words"]).matches(" --> ").count(), 4);
    assert!(run(&["-f", "textgrid"]).contains("- words\""));

    // A folder: one heading, and subtitles without the times of words.
    fs::write(directory.path().join("conversation.srt"), "1\n00:00:01,000 --> 00:00:02,000\nHello\n\n")
        .unwrap();
    let folder = directory.path().to_str().unwrap();
    let pattern = directory.path().join("conversation.wa[v]");
    let arguments = ["-q", "-f", "csv", "--transcript", folder, pattern.to_str().unwrap()];
    let output = diarize(arguments);
    assert!(stdout(&output).starts_with("file,start,end,duration,speaker,text\n"), "{}", stdout(&output));
    assert_eq!(stdout(&output).lines().count(), 2);
    let output = diarize(arguments.iter().chain(&["--words"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--words needs the times of words"), "{}", stderr(&output));
}

pub(crate) fn turns() -> Vec<Turn> {
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
    let transcript = Transcript::parse(&document.to_string()).unwrap().with_speakers(&turns(), WHOLE);
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
    let transcript = Transcript::parse(&document.to_string()).unwrap().with_speakers(&turns(), WHOLE);
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
    let transcript = Transcript::parse(&document.to_string()).unwrap().with_speakers(&turns(), WHOLE);
    let named: Value = serde_json::from_str(&transcript.render(Format::Json).unwrap().unwrap()).unwrap();
    assert_eq!((&named[0]["speaker"], &named[1]["speaker"]), (&json!("Ann"), &json!("Bob")));
    assert_eq!(named[0]["words"], Value::Null);
}

/// The transcript as text by paragraph, and its warnings.
pub(crate) fn read_aloud(text: &str) -> (String, Vec<String>) {
    let transcript = Transcript::parse(text).unwrap().with_speakers(&turns(), WHOLE);
    (transcript.render(Format::Txt).unwrap().unwrap(), transcript.warnings().to_vec())
}

pub(crate) fn json_of(text: &str) -> Value {
    let transcript = Transcript::parse(text).unwrap().with_speakers(&turns(), WHOLE);
    serde_json::from_str(&transcript.render(Format::Json).unwrap().unwrap()).unwrap()
}

pub(crate) const BOTH: &str = "[00:00:00] Ann: Hello?\n\n[00:00:02] Bob: Hi.\n";

/// Whisper writes some words in several parts, of which only the first begins with a space.
#[test]
fn parts_of_a_word_have_one_speaker() {
    let speakers = |texts: [&str; 4]| {
        let times = [0.5, 1.6, 2.2, 3.0, 3.5];
        let words: Vec<Value> =
            (0..4).map(|at| json!({ "word": texts[at], "start": times[at], "end": times[at + 1] })).collect();
        let text = texts.concat();
        let segment = json!({ "start": 0.5, "end": 3.5, "text": text, "words": words });
        let document = json_of(&json!({ "text": text, "segments": [segment] }).to_string());
        let words = document["segments"][0]["words"].as_array().unwrap().clone();
        words.iter().map(|word| word["speaker"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(speakers([" about", " 42", ",000", " so"]), ["Ann", "Bob", "Bob", "Bob"]);
    assert_eq!(speakers([" about", " 42", " thousand", " so"]), ["Ann", "Ann", "Bob", "Bob"]);
    // In languages without spaces, each is a word of its own.
    assert_eq!(speakers([" \u{5927}", "\u{7d04}", "\u{56db}", "\u{4e8c}"]), ["Ann", "Ann", "Bob", "Bob"]);
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
        let transcript = Transcript::parse(text).unwrap().with_speakers(&[], WHOLE);
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
    let transcript = Transcript::parse(&text).unwrap().with_speakers(&turns, WHOLE);
    let txt = transcript.render(Format::Txt).unwrap().unwrap();
    assert_eq!((txt.lines().count(), txt.split(' ').count()), (1, CUES + 2));
    assert_eq!(transcript.render(Format::Srt).unwrap().unwrap().matches("Ann: word").count(), CUES);
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
    let line = |file: &str, text: &str| {
        let document = segment(text).replace(", ", ",").replace(": ", ":");
        format!("{}\n", document.replacen('{', &format!("{{\"file\":{},", Value::from(file)), 1))
    };
    assert_eq!(stdout(&output), line(&a, "one") + &line(&b, "two"), "one document per line");
    let output = diarize(["-q", "--transcript", &path("said"), "-f", "txt", &a, &b]);
    assert_eq!(stdout(&output), format!("{a}:\n[00:00:00] one\n\n{b}:\n[00:00:00] two\n\n"));

    let output = diarize(["--transcript", &path("said"), "-f", "json", "-o", &path("said"), &path("")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("would overwrite the transcript"), "{}", stderr(&output));
}
