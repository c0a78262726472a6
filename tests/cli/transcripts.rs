//! Speakers are added to transcripts of other programs.

use std::{collections::BTreeMap, fs, path::Path};

use diarize::{Turn, parse_rttm};
use diarize_cli::{output::Format, transcript::Transcript};
use diarize_testkit::repository;
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
            fs::write(Path::new(&path("said")).join(transcript), segment(text)).unwrap();
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
        (vec!["--transcript", name, "no.wav"], 1, "not JSON, SRT or WebVTT"),
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
