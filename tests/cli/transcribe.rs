//! `diarize transcribe`: its arguments, and its results with a real model.

use std::{fs, process::Command};

use tempfile::tempdir;

use crate::common::{diarize, stderr, write_silence};

#[test]
fn without_a_model_one_sentence_says_how_to_get_one() {
    let folder = tempdir().unwrap();
    let audio = folder.path().join("talk.wav");
    write_silence(&audio);
    let mut command = Command::new(env!("CARGO_BIN_EXE_diarize"));
    let output = command.arg("transcribe").arg(&audio).env_remove("DIARIZE_WHISPER").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = "error: transcribe needs a Whisper model: download one, for example with `hf download \
                    openai/whisper-small --local-dir whisper-small`, and name its folder with --whisper\n";
    assert_eq!(stderr(&output), expected);
}

#[test]
fn a_folder_without_a_model_is_an_error() {
    let folder = tempdir().unwrap();
    let audio = folder.path().join("talk.wav");
    write_silence(&audio);
    let whisper = folder.path().to_str().unwrap();
    let output = diarize(["transcribe", "--whisper", whisper, audio.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("not a Whisper model"), "{}", stderr(&output));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn options_without_meaning_are_errors() {
    for option in [&["--transcript", "talk.json"][..], &["--embeddings"], &["--channels", "separate"]] {
        let output = diarize(["transcribe", "--whisper", "model", "talk.wav"].iter().chain(option));
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).contains(&format!("leave out {}", option.join(" ").replace(" talk.json", "")))
        );
    }
    let output = diarize(["transcribe", "--whisper", "model"]);
    assert_eq!(output.status.code(), Some(2), "no recording");
}

mod needs_whisper {
    //! Whisper tiny.en in the folder that `DIARIZE_WHISPER` names; the option `--whisper` reads it by itself.

    use std::{collections::BTreeMap, fs};

    use diarize::scoring::{score_speakers_words, score_words};
    use diarize_testkit::{repository, shared};
    use serde_json::Value;
    use tempfile::tempdir;

    use crate::common::{diarize, stderr, stdout, write_silence};

    #[test]
    #[ignore = "needs Whisper tiny.en"]
    fn every_word_has_a_speaker_in_all_formats() {
        let folder = tempdir().unwrap();
        let audio = repository("tests/data/conversation.flac");
        let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let [json, srt, txt, html] = ["a.json", "a.srt", "a.txt", "a.html"].map(file);
        let outputs = ["-o", &json, "-o", &srt, "-o", &txt, "-o", &html];
        let output = diarize(["transcribe", audio.to_str().unwrap()].iter().chain(&outputs));
        assert!(output.status.success(), "{}", stderr(&output));
        let document: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
        assert_eq!(document["language"], "en");
        let segments = document["segments"].as_array().unwrap();
        let words: Vec<&Value> =
            segments.iter().flat_map(|segment| segment["words"].as_array().unwrap()).collect();
        assert!(words.len() > 100, "{}", words.len());
        assert!(words.iter().all(|word| word["speaker"].as_str().unwrap().starts_with("SPEAKER_")));
        let times: Vec<f64> = words.iter().map(|word| word["start"].as_f64().unwrap()).collect();
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{times:?}");
        for file in [srt, txt, html] {
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains("river") && text.contains("SPEAKER_02"), "{file}");
        }
    }

    #[test]
    #[ignore = "needs Whisper tiny.en"]
    fn a_part_has_the_times_of_the_recording() {
        let audio = repository("tests/data/conversation.flac");
        let part = ["--start", "20", "--end", "32", "-f", "json"];
        let output = diarize(["transcribe", audio.to_str().unwrap()].iter().chain(&part));
        let document: Value = serde_json::from_str(stdout(&output)).unwrap();
        let segments = document["segments"].as_array().unwrap();
        assert!(!segments.is_empty());
        assert!(segments.iter().all(|segment| (20.0..32.5).contains(&segment["start"].as_f64().unwrap())));
    }

    #[test]
    #[ignore = "needs Whisper tiny.en"]
    fn silence_has_no_text_and_a_wrong_language_is_an_error() {
        let folder = tempdir().unwrap();
        let audio = folder.path().join("talk.wav");
        write_silence(&audio);
        let audio = audio.to_str().unwrap();
        let output = diarize(["transcribe", audio]);
        assert!(output.status.success() && stdout(&output).trim().is_empty(), "{}", stdout(&output));
        assert!(stderr(&output).contains("nobody speaks"), "{}", stderr(&output));
        let output = diarize(["transcribe", "--language", "de", audio]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("this model knows only English"), "{}", stderr(&output));
    }

    /// The words of a text in lower case, without punctuation.
    fn words(text: &str) -> Vec<String> {
        let kept = |letter: char| letter.is_alphanumeric() || letter == '\'';
        let words = text.split(|letter| !kept(letter)).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    }

    fn borrowed(words: &[String]) -> Vec<&str> {
        words.iter().map(String::as_str).collect()
    }

    /// `words` of each speaker, from pairs of speaker and text.
    fn by_speaker(said: &[(String, String)]) -> Vec<Vec<String>> {
        let mut speakers = BTreeMap::<&str, Vec<String>>::new();
        for (speaker, text) in said {
            speakers.entry(speaker).or_default().extend(words(text));
        }
        speakers.into_values().collect()
    }

    #[test]
    #[ignore = "needs Whisper tiny.en and shared"]
    fn word_errors_are_not_above_those_of_openai_whisper() {
        let stm = fs::read_to_string(shared("eval/pyannote-sample/sample.stm")).unwrap();
        let line = |line: &str| {
            let fields: Vec<&str> = line.splitn(6, ' ').collect();
            (fields[2].to_owned(), fields[5].to_owned())
        };
        let reference: Vec<(String, String)> = stm.lines().map(line).collect();
        let audio = shared("eval/pyannote-sample/sample.wav");
        let output = diarize(["transcribe", audio.to_str().unwrap(), "-f", "json"]);
        let document: Value = serde_json::from_str(stdout(&output)).unwrap();
        let segments = document["segments"].as_array().unwrap();
        let found = segments.iter().flat_map(|segment| segment["words"].as_array().unwrap());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let found: Vec<(String, String)> =
            found.map(|word| (text(&word["speaker"]), text(&word["word"]))).collect();
        let goldens = fs::read_to_string(repository("tests/goldens/words/tiny_en.json")).unwrap();
        let goldens: Value = serde_json::from_str(&goldens).unwrap();
        let genuine = goldens["clips"]["sample"].as_array().unwrap().iter();
        let genuine: String = genuine.map(|segment| text(&segment["text"])).collect();

        let all = |said: &[(String, String)]| -> Vec<String> {
            said.iter().flat_map(|(_, text)| words(text)).collect()
        };
        let (reference_words, found_words, genuine) = (all(&reference), all(&found), words(&genuine));
        let ours = score_words(&borrowed(&reference_words), &borrowed(&found_words));
        let genuine = score_words(&borrowed(&reference_words), &borrowed(&genuine));
        let [reference, found] = [by_speaker(&reference), by_speaker(&found)];
        let [reference, found]: [Vec<Vec<&str>>; 2] =
            [&reference, &found].map(|said| said.iter().map(|words| borrowed(words)).collect());
        let with_speakers = score_speakers_words(&reference, &found);
        println!("ours {ours:?}, openai-whisper {genuine:?}, with speakers {with_speakers:?}");
        assert!(ours.word_error_rate() <= genuine.word_error_rate() + 0.005, "{ours:?} {genuine:?}");
        assert!(
            with_speakers.word_error_rate() <= ours.word_error_rate() + 0.1,
            "{with_speakers:?} {ours:?}"
        );
    }
}
