//! `diarize transcribe`: its arguments, and its results with a real model.

use std::{fs, process::Command};

use tempfile::tempdir;

use crate::common::{diarize, stderr, stdout, write_silence};

#[test]
fn without_a_model_one_sentence_says_how_to_get_one() {
    let folder = tempdir().unwrap();
    let audio = folder.path().join("talk.wav");
    write_silence(&audio);
    let mut command = Command::new(env!("CARGO_BIN_EXE_diarize"));
    let output = command
        .arg("transcribe")
        .arg(&audio)
        .env_remove("DIARIZE_WHISPER")
        .env("DIARIZE_MODELS", folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let expected = "error: transcribe needs a Whisper model: `diarize model download whisper-small` gets one, and `diarize \
                    model list` shows others; --whisper DIR uses a folder from huggingface.co or faster-whisper\n";
    assert_eq!(stderr(&output), expected);
}

#[test]
fn a_folder_without_a_model_is_an_error() {
    let folder = tempdir().unwrap();
    let audio = folder.path().join("talk.wav");
    write_silence(&audio);
    let [whisper, audio] = [folder.path(), &audio].map(|path| path.to_str().unwrap());
    for (path, told) in [
        (whisper, "not a Whisper model: it has neither"),
        (audio, "a file: name the folder"),
        (
            "small",
            "whisper-small is not on this machine: get it once with `diarize model download whisper-small`",
        ),
        ("tall", "neither a folder nor one of the models whisper-tiny,"),
    ] {
        let output = diarize(["transcribe", "--whisper", path, audio]);
        assert_eq!(output.status.code(), Some(2));
        let said = stderr(&output);
        assert!(said.starts_with(&format!("error: --whisper {path}")) && said.contains(told), "{said}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn options_without_meaning_are_errors() {
    for option in [&["--transcript", "talk.json"][..], &["--embeddings"], &["--channels", "separate"]] {
        let output = diarize(["transcribe", "--whisper", "model", "talk.wav"].iter().chain(option));
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output)
                .contains(&format!("with {}: leave it out", option.join(" ").replace(" talk.json", "")))
        );
    }
    let folder = tempdir().unwrap();
    let model = folder.path().to_str().unwrap();
    for (outputs, told) in [
        (&["-f", "rttm"][..], "rttm cannot contain words: use txt, srt"),
        (&["-o", "a.eaf", "-o", "a.parquet"], "eaf cannot contain words"),
        (&["-f", "txt", "--words"], "--words needs --format csv, srt or vtt"),
    ] {
        let output = diarize(["transcribe", "--whisper", model, "-"].iter().chain(outputs));
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
    let output = diarize(["--words", "-f", "csv", "talk.wav"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--words needs a transcript"), "{}", stderr(&output));
    let output = diarize(["transcribe", "--whisper", "model"]);
    assert_eq!(output.status.code(), Some(2), "no recording");
    let output = diarize(["--whisper", "model", "talk.wav"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("--whisper is an option of `diarize transcribe`."), "{said}");
}

#[test]
fn a_whisper_model_is_no_model_for_speakers() {
    let folder = tempdir().unwrap();
    let name = folder.path().to_str().unwrap();
    for config in ["{\"model_type\": \"whisper\"}", "{\"suppress_ids\": []}"] {
        fs::write(folder.path().join("config.json"), config).unwrap();
        let output = diarize(["--model", name, "talk.wav"]);
        assert_eq!(output.status.code(), Some(2));
        let told = format!(
            "error: --model {name} finds words, not speakers: use it with `diarize transcribe --whisper {name}`\n"
        );
        assert!(stderr(&output).starts_with(&told), "{}", stderr(&output));
    }
}

#[test]
fn the_help_has_only_options_that_apply() {
    let output = diarize(["transcribe", "--help"]);
    let help = stdout(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    for absent in ["--transcript", "--embeddings", "--channels", "--channel-names"] {
        assert!(!help.contains(&format!("{absent} ")), "{absent}");
    }
    for present in ["--channel ", "from 1 to 32", "each window", "Whisper stays on the device"] {
        assert!(help.contains(present), "{present}");
    }
}

/// The letters of some text.
fn joined<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    texts.into_iter().flat_map(str::chars).filter(|letter| letter.is_alphanumeric()).collect()
}

mod needs_whisper {
    //! Whisper tiny.en in the folder that `DIARIZE_WHISPER` names; the option `--whisper` reads it by itself.

    use std::{collections::BTreeMap, f64::consts::TAU, fs, process::Output};

    use diarize::scoring::{WordScore, score_speakers_words, score_words};
    use diarize_testkit::{repository, shared};
    use serde_json::{Value, json};
    use tempfile::tempdir;

    use super::joined;
    use crate::common::{diarize, diarize_bytes, stderr, stdout, write_excerpt, write_i16, write_silence};

    #[test]
    #[ignore = "needs Whisper tiny.en"]
    fn every_word_has_a_speaker_in_all_formats() {
        let folder = tempdir().unwrap();
        let audio = repository("tests/data/conversation.flac");
        let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let files = ["a.json", "a.srt", "a.vtt", "a.txt", "a.html", "a.csv", "a.TextGrid"].map(file);
        let [json, others @ ..] = &files;
        let outputs: Vec<&str> = files.iter().flat_map(|file| ["-o", file]).collect();
        let output = diarize(["transcribe", audio.to_str().unwrap()].iter().chain(&outputs));
        assert!(output.status.success(), "{}", stderr(&output));
        let document: Value = serde_json::from_str(&fs::read_to_string(json).unwrap()).unwrap();
        assert_eq!(document["language"], "en");
        let segments = document["segments"].as_array().unwrap();
        for name in ["avg_logprob", "compression_ratio", "no_speech_prob", "temperature"] {
            assert!(segments.iter().all(|segment| segment[name].is_number()), "{name}");
        }
        let words: Vec<&Value> =
            segments.iter().flat_map(|segment| segment["words"].as_array().unwrap()).collect();
        assert!(words.len() > 100, "{}", words.len());
        assert!(words.iter().all(|word| word["speaker"].as_str().unwrap().starts_with("SPEAKER_")));
        let times: Vec<f64> = words.iter().map(|word| word["start"].as_f64().unwrap()).collect();
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "{times:?}");
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            files.len(),
            "no partial transcript is left"
        );
        for file in others {
            let text = fs::read_to_string(file).unwrap();
            assert!(text.contains("river") && text.contains("SPEAKER_02"), "{file}");
        }
        let [csv, grid] = [&files[5], &files[6]].map(|file| fs::read_to_string(file).unwrap());
        let said = joined(words.iter().map(|word| word["word"].as_str().unwrap()));
        let rows = csv.lines().skip(1).map(|row| row.splitn(6, ',').nth(5).unwrap().trim_matches('"'));
        assert_eq!(joined(rows), said);
        let speakers = ["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"];
        for name in speakers.iter().flat_map(|speaker| [(*speaker).to_owned(), format!("{speaker} - words")])
        {
            assert_eq!(grid.matches(&format!("name = \"{name}\"\n")).count(), 1, "{name}");
        }
    }

    #[test]
    #[ignore = "needs Whisper tiny.en"]
    fn recordings_and_the_standard_input_are_transcribed_with_options() {
        let folder = tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let [talk, silence, missing] = ["talk.wav", "silence.wav", "missing.wav"].map(path);
        write_excerpt(8, talk.as_ref(), path("talk.rttm").as_ref());
        write_silence(silence.as_ref());
        let output = diarize(["transcribe", "-f", "json", &talk, &missing, &silence]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let documents: Vec<Value> =
            stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let compact = |line: &str| line.starts_with("{\"file\":\"") && line.contains(",\"segments\":[");
        assert!(stdout(&output).lines().all(compact), "{}", stdout(&output));
        assert_eq!(documents.iter().map(|document| &document["file"]).collect::<Vec<_>>(), [&talk, &silence]);
        let words = |document: &Value| {
            let segments = document["segments"].as_array().unwrap().iter();
            segments.flat_map(|segment| segment["words"].as_array().unwrap().clone()).collect::<Vec<_>>()
        };
        let words: Vec<Value> = documents.iter().flat_map(words).collect();
        let told = stderr(&output);
        assert!(told.contains(&format!(", {} words; 8.0 s of audio in ", words.len())), "{told}");
        assert!(told.contains("silence.wav: no turns, 0 words; "), "{told}");

        let audio = fs::read(&talk).unwrap();
        let by_word = diarize_bytes(&["transcribe", "-q", "--words", "-f", "csv", "-"], &audio);
        let rows: Vec<&str> = stdout(&by_word).lines().skip(1).collect();
        assert!(!rows.is_empty() && rows.len() == words.len(), "{rows:?}");
        assert!(rows.iter().zip(&words).all(|(row, word)| {
            row.starts_with("standard input,")
                && joined([*row]).ends_with(&joined([word["word"].as_str().unwrap()]))
        }));
        let options = ["--language", "en", "--beam", "2", "--prompt", "A talk.", "--vocabulary", "river"];
        let output = diarize_bytes(&[&["transcribe", "-q", "-"], &options[..]].concat(), &audio);
        assert!(output.status.success() && stdout(&output).starts_with("[00:00:0"), "{}", stderr(&output));
    }

    /// After these words, openai-whisper stops after 12 s of the sample, and all its words are at the end.
    #[test]
    #[ignore = "needs Whisper tiny.en"]
    fn a_vocabulary_loses_no_text() {
        let audio = shared("eval/pyannote-sample/sample.wav");
        let options = ["-q", "-f", "json", "--vocabulary", "Sheila, Diane"];
        let output = diarize(["transcribe", audio.to_str().unwrap()].iter().chain(&options));
        let document: Value = serde_json::from_str(stdout(&output)).unwrap();
        let segments = document["segments"].as_array().unwrap();
        let start = segments[0]["start"].as_f64().unwrap();
        assert!((5.0..9.0).contains(&start), "{start}");
        let text = document["text"].as_str().unwrap();
        assert!(text.contains("Chicago") && text.contains("Yankee"), "{text}");
    }

    /// After this prompt, Whisper skips most of the sample.
    #[test]
    #[ignore = "needs Whisper tiny.en and shared"]
    fn speech_without_words_is_told() {
        let audio = shared("eval/pyannote-sample/sample.wav");
        let said = |prompt: &[&str]| {
            let output = diarize(["transcribe", audio.to_str().unwrap()].iter().chain(prompt));
            assert!(output.status.success(), "{}", stderr(&output));
            stderr(&output).to_owned()
        };
        let told = said(&["--prompt", "Sheila and Diane talk."]);
        assert!(told.contains("no words were found from 00:00:0"), "{told}");
        assert!(!said(&[]).contains("no words were found"));
    }

    #[test]
    #[ignore = "needs Whisper tiny.en"]
    fn a_part_has_the_times_of_the_recording() {
        let audio = repository("tests/data/conversation.flac");
        let part = ["--start", "20", "--end", "32", "-f", "json", "-v"];
        let output = diarize(["transcribe", audio.to_str().unwrap()].iter().chain(&part));
        let document: Value = serde_json::from_str(stdout(&output)).unwrap();
        let segments = document["segments"].as_array().unwrap();
        assert!(!segments.is_empty());
        assert!(segments.iter().all(|segment| (20.0..32.5).contains(&segment["start"].as_f64().unwrap())));
        let told: Vec<&str> = stderr(&output).lines().collect();
        let is_timed =
            |line: &&str| line.starts_with("loaded ") && line.contains(" in ") && line.ends_with(" s");
        assert_eq!(told.iter().filter(|line| is_timed(line)).count(), 2, "both models: {told:?}");
        assert!(told.last().unwrap().contains(": 12.0 s of audio in "), "{told:?}");
    }

    #[test]
    #[ignore = "needs Whisper tiny.en"]
    fn silence_has_no_text_and_a_wrong_language_is_an_error() {
        let folder = tempdir().unwrap();
        let audio = folder.path().join("talk.wav");
        write_silence(&audio);
        let audio = audio.to_str().unwrap();
        let output = diarize(["transcribe", "-f", "json", audio]);
        assert!(output.status.success());
        let document: Value = serde_json::from_str(stdout(&output)).unwrap();
        assert_eq!(document, json!({"text": "", "language": "en", "segments": []}));
        let told: Vec<&str> = stderr(&output).lines().collect();
        assert!(told.len() == 1 && told[0].contains("nobody speaks"), "{told:?}");
        let only = "but must be left out: this model knows only English; models without `.en` in their names know other languages";
        for (options, told) in [
            (&["--language", "de"][..], format!("error: --language is `de`, {only}")),
            (&["--translate"], format!("error: --translate is set, {only}")),
        ] {
            let output = diarize(["transcribe", audio].iter().chain(options));
            // Then comes where the model's name is from.
            assert_eq!(
                (output.status.code(), stderr(&output).lines().next()),
                (Some(2), Some(told.as_str()))
            );
        }
    }

    /// Twelve seconds of an instrument: pulses through the resonances of a vowel, which the diarization takes for speech.
    fn humming() -> Vec<i16> {
        let (mut phase, mut state, decay) = (0.0, [[0.0; 2]; 3], (-TAU * 45.0 / 16e3).exp());
        let sample = |index: u32| {
            let time = f64::from(index) / 16e3;
            phase += (120.0 + 10.0 * (TAU * 5.0 * time).sin()) / 16e3;
            let pulse = f64::from(u8::from(phase >= 1.0));
            phase -= pulse;
            let mut sound = 0.0;
            for (frequency, [last, before]) in [500.0, 1500.0, 2500.0].into_iter().zip(&mut state) {
                let next =
                    pulse + 2.0 * decay * (TAU * frequency / 16e3).cos() * *last - decay * decay * *before;
                (*last, *before) = (next, *last);
                sound += 6.0 * next * (1.0 - decay);
            }
            let loudness = if time % 4.0 < 3.0 { 0.5 + 0.5 * (TAU * 4.0 * time).sin() } else { 0.0 };
            ((sound * loudness).clamp(-1.0, 1.0) * 12_000.0) as i16
        };
        (0..192_000).map(sample).collect()
    }

    #[test]
    #[ignore = "needs Whisper tiny.en"]
    fn music_without_speech_gets_one_sentence() {
        let folder = tempdir().unwrap();
        let audio = folder.path().join("music.wav");
        write_i16(&audio, 16_000, 1, &humming());
        let turns = diarize(["-q".as_ref(), audio.as_os_str()]);
        assert!(stdout(&turns).lines().count() > 0, "the diarization hears speech");
        let output = diarize(["transcribe".as_ref(), audio.as_os_str()]);
        assert!(output.status.success() && output.stdout.is_empty(), "{}", stdout(&output));
        let told: Vec<&str> = stderr(&output).lines().collect();
        assert!(told.len() == 1 && told[0].ends_with("it may be music or noise"), "{told:?}");
    }

    /// The words of a text in lower case, without punctuation.
    fn words(text: &str) -> Vec<String> {
        let kept = |letter: char| letter.is_alphanumeric() || letter == '\'';
        let words = text.split(|letter| !kept(letter)).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    }

    /// Word errors without and with speakers. Both texts are pairs of speaker and text.
    fn errors(reference: &[(String, String)], found: &[(String, String)]) -> [WordScore; 2] {
        let [reference, found] = [reference, found].map(|said| -> Vec<(&str, Vec<String>)> {
            said.iter().map(|(speaker, text)| (speaker.as_str(), words(text))).collect()
        });
        let [all, by_speaker] = [false, true].map(|by_speaker| {
            [&reference, &found].map(|said| {
                let mut texts = BTreeMap::<&str, Vec<&str>>::new();
                for (speaker, words) in said {
                    let speaker = if by_speaker { speaker } else { "all" };
                    texts.entry(speaker).or_default().extend(words.iter().map(String::as_str));
                }
                texts.into_values().collect::<Vec<_>>()
            })
        });
        [score_words(&all[0][0], &all[1][0]), score_speakers_words(&by_speaker[0], &by_speaker[1])]
    }

    /// The words in a JSON result, with their speakers.
    fn said(output: &Output) -> Vec<(String, String)> {
        assert!(output.status.success(), "{}", stderr(output));
        let document: Value = serde_json::from_str(stdout(output)).unwrap();
        let segments = document["segments"].as_array().unwrap().iter();
        let words = segments.flat_map(|segment| segment["words"].as_array().unwrap());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        words.map(|word| (text(&word["speaker"]), text(&word["word"]))).collect()
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
        let audio = audio.to_str().unwrap();
        let ours = errors(&reference, &said(&diarize(["transcribe", audio, "-f", "json"])));

        // The words of openai-whisper, with speakers by the same diarization.
        let goldens = fs::read_to_string(repository("tests/goldens/words/tiny_en.json")).unwrap();
        let goldens: Value = serde_json::from_str(&goldens).unwrap();
        let folder = tempdir().unwrap();
        let transcript = folder.path().join("sample.json");
        let document = json!({"text": "", "language": "en", "segments": goldens["clips"]["sample"]});
        fs::write(&transcript, document.to_string()).unwrap();
        let output = diarize(["--transcript", transcript.to_str().unwrap(), "-f", "json", audio]);
        let genuine = errors(&reference, &said(&output));

        println!("WER and cpWER: ours {ours:?}, openai-whisper {genuine:?}");
        for (ours, genuine) in ours.iter().zip(&genuine) {
            assert_eq!(ours.words, 81);
            assert!(ours.word_error_rate() <= genuine.word_error_rate() + 0.005, "{ours:?} {genuine:?}");
        }
    }
}
