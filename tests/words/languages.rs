//! Models with many languages. Their weights are computed from a formula, as in `make_goldens.py`.

use std::{collections::BTreeMap, fs, path::Path};

use diarize_audio::{Settings, read};
use diarize_testkit::repository;
use diarize_words::{
    Options, Whisper,
    unstable::{greedy, language_probabilities},
};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{devices::whisper, networks::largest};

const TEXT_TOKENS: usize = 50_257;

/// The shapes of a model with two layers.
fn shapes(width: usize, filters: usize, vocabulary: usize) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::new();
    let mut add = |name: &str, shape: &[usize]| shapes.insert(format!("model.{name}"), shape.to_vec());
    for (network, attentions) in
        [("encoder", &["self_attn"][..]), ("decoder", &["self_attn", "encoder_attn"])]
    {
        let layer = format!("{network}.layers.0");
        for attention in attentions {
            for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                add(&format!("{layer}.{attention}.{part}.weight"), &[width, width]);
                if part != "k_proj" {
                    add(&format!("{layer}.{attention}.{part}.bias"), &[width]);
                }
            }
        }
        let norms = attentions.iter().map(|attention| format!("{layer}.{attention}_layer_norm"));
        for norm in norms.chain([format!("{layer}.final_layer_norm"), format!("{network}.layer_norm")]) {
            add(&format!("{norm}.weight"), &[width]);
            add(&format!("{norm}.bias"), &[width]);
        }
        for (name, [inputs, outputs]) in [("fc1", [width, 4 * width]), ("fc2", [4 * width, width])] {
            add(&format!("{layer}.{name}.weight"), &[outputs, inputs]);
            add(&format!("{layer}.{name}.bias"), &[outputs]);
        }
    }
    for (name, inputs) in [("conv1", filters), ("conv2", width)] {
        add(&format!("encoder.{name}.weight"), &[width, inputs, 3]);
        add(&format!("encoder.{name}.bias"), &[width]);
    }
    add("encoder.embed_positions.weight", &[1500, width]);
    add("decoder.embed_positions.weight", &[448, width]);
    add("decoder.embed_tokens.weight", &[vocabulary, width]);
    shapes
}

/// The values of a tensor, as bytes.
fn values(index: usize, name: &str, shape: &[usize]) -> Vec<u8> {
    let scale = if shape.len() > 1 { 2.0 } else { 0.25 };
    let offset = if name.ends_with("norm.weight") { 1.0 } else { 0.0 };
    let value = |count: usize| {
        let bits = (count as u32).wrapping_mul(2_654_435_761).wrapping_add(index as u32 * 40_503);
        let bits = (bits ^ bits >> 15).wrapping_mul(2_246_822_519);
        let bits = (bits ^ bits >> 13) / 256;
        ((bits as f32 / 16_777_216.0 - 0.5) * scale + offset).to_le_bytes()
    };
    (0..shape.iter().product()).flat_map(value).collect()
}

/// A token of text, and the two tokens of which it consists.
type Merge = (usize, String, String);

/// A tokenizer. Bytes, special tokens and those that are merged have a meaning.
fn tokenizer(languages: &[&str], merges: &[Merge]) -> Value {
    // The characters that stand for bytes, as in GPT-2.
    let is_plain = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..=255u8).filter(|byte| !is_plain(byte)).zip('\u{100}'..).map(|(_, letter)| letter);
    let letters = (0..=255u8).filter(is_plain).map(char::from).chain(others);
    let mut vocabulary: BTreeMap<String, usize> = letters.map(String::from).zip(0..).collect();
    let merged: BTreeMap<usize, String> =
        merges.iter().map(|(id, left, right)| (*id, format!("{left}{right}"))).collect();
    let text = |id| merged.get(&id).cloned().unwrap_or_else(|| format!("unused{id}"));
    vocabulary.extend((256..TEXT_TOKENS).map(|id| (text(id), id)));
    let merges: Vec<[&str; 2]> = merges.iter().map(|(_, left, right)| [left.as_str(), right]).collect();
    let times = (0..=1500).map(|step| format!("{:.2}", f64::from(step) * 0.02));
    let names = ["endoftext", "startoftranscript"].into_iter().chain(languages.iter().copied());
    let tasks = ["translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps"];
    let names = names.chain(tasks).map(str::to_owned).chain(times);
    let added: Vec<Value> = names
        .zip(TEXT_TOKENS..)
        .map(|(name, id)| {
            json!({"id": id, "content": format!("<|{name}|>"), "single_word": false, "lstrip": false,
                   "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    json!({"model": {"type": "BPE", "vocab": vocabulary, "merges": merges}, "added_tokens": added})
}

pub fn write(folder: &Path, width: usize, filters: usize, languages: &[&str], merges: &[Merge]) {
    let vocabulary = TEXT_TOKENS + 2 + languages.len() + 6 + 1501;
    let shapes = shapes(width, filters, vocabulary);
    let bytes: Vec<Vec<u8>> =
        shapes.iter().enumerate().map(|(index, (name, shape))| values(index, name, shape)).collect();
    let tensors = shapes
        .into_iter()
        .zip(&bytes)
        .map(|((name, shape), bytes)| (name, TensorView::new(Dtype::F32, shape, bytes).unwrap()));
    fs::write(folder.join("model.safetensors"), safetensors::serialize(tensors, None).unwrap()).unwrap();
    let heads = if width.is_multiple_of(64) { width / 64 } else { 2 };
    let heads = json!({"encoder_attention_heads": heads, "decoder_attention_heads": heads});
    fs::write(folder.join("config.json"), heads.to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer(languages, merges).to_string()).unwrap();
}

#[test]
fn a_tokenizer_with_a_token_that_the_model_lacks_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), 16, 80, &["en", "de"], &[]);
    let path = folder.path().join("tokenizer.json");
    let mut tokenizer: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    tokenizer["model"]["vocab"]["\u{120}"] = 60_000.into(); // the space
    fs::write(&path, tokenizer.to_string()).unwrap();
    let error = Whisper::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("its tokens are not those of the model"), "{error}");
}

fn goldens() -> Value {
    let text = fs::read_to_string(repository("tests/goldens/words/languages.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The golden, the folder of the model and the model for each number of mel bands: those of the first models and of large-v3.
fn models() -> [(Value, TempDir, Whisper); 2] {
    let goldens = goldens();
    let merges: Vec<Merge> = serde_json::from_value(goldens["merges"].clone()).unwrap();
    [(80, "51865"), (128, "51866")].map(|(filters, vocabulary)| {
        let golden = goldens[vocabulary].clone();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 16, filters, &codes(&golden), &merges);
        let whisper = whisper(folder.path());
        (golden, folder, whisper)
    })
}

fn codes(golden: &Value) -> Vec<&str> {
    golden["languages"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect()
}

/// Two parts of 10 s.
fn parts() -> [Vec<f32>; 2] {
    let recording = read(&repository("tests/data/conversation.flac"), &Settings::default()).unwrap().samples;
    [recording[..160_000].to_vec(), recording[160_000..320_000].to_vec()]
}

#[test]
fn probabilities_of_languages_are_those_of_openai_whisper() {
    let parts = parts();
    for (golden, _folder, whisper) in models() {
        assert!(whisper.is_multilingual());
        assert_eq!(whisper.languages(), codes(&golden));
        let expected: [Vec<f64>; 2] = serde_json::from_value(golden["parts"].clone()).unwrap();
        for (part, expected) in parts.iter().zip(&expected) {
            let found = language_probabilities(&whisper, part).unwrap();
            assert_eq!(found.len(), expected.len());
            let apart = largest(found.iter().zip(expected).map(|(a, b)| (a - b).abs()));
            assert!(apart < 1e-5, "{apart}");
        }
    }
}

#[test]
fn the_language_of_several_parts_has_the_highest_mean_probability() {
    let [first, second] = parts();
    for (golden, _folder, whisper) in models() {
        let expected: [Vec<f64>; 2] = serde_json::from_value(golden["parts"].clone()).unwrap();
        let means: Vec<f64> = expected[0].iter().zip(&expected[1]).map(|(a, b)| (a + b) / 2.0).collect();
        let best = (0..means.len()).max_by(|&a, &b| means[a].total_cmp(&means[b])).unwrap();
        let (code, probability) = whisper.detect_language(&[&first, &second]).unwrap();
        assert_eq!(code, whisper.languages()[best]);
        assert!((probability - means[best]).abs() < 1e-5, "{probability}");
        for part in &expected {
            assert!((part[best] - means[best]).abs() > 1e-3, "one part alone has the same result");
        }
    }
}

#[test]
fn greedy_answers_are_those_of_openai_whisper() {
    let asked: Vec<(String, String, Option<String>)> =
        serde_json::from_value(goldens()["asked"].clone()).unwrap();
    let [samples, _] = parts();
    for (golden, _folder, whisper) in models() {
        for ((language, task, prompt), expected) in asked.iter().zip(golden["answers"].as_array().unwrap()) {
            let mut options = Options::default();
            options.language = Some(language.clone());
            options.translate = task == "translate";
            options.prompt.clone_from(prompt);
            let found = greedy(&whisper, &samples, &options).unwrap();
            let tokens: Vec<u32> = serde_json::from_value(expected["tokens"].clone()).unwrap();
            assert_eq!(found.tokens[..tokens.len()], tokens, "{language}");
            let apart = |found: f64, name: &str| (found - expected[name].as_f64().unwrap()).abs();
            assert!(apart(found.log_probability, "log_probability") < 1e-4, "{language}");
            assert!(apart(found.no_speech, "no_speech") < 1e-6, "{language}");
        }
    }
}

#[test]
fn unknown_languages_are_errors() {
    for (golden, _folder, whisper) in models() {
        let mut options = Options::default();
        options.translate = true;
        options.language = Some("yue".to_owned());
        assert_eq!(whisper.check(&options).is_ok(), codes(&golden).contains(&"yue"));
        options.language = Some("klingon".to_owned());
        let error = whisper.check(&options).unwrap_err().to_string();
        assert!(error.starts_with("language is `klingon`, but must be one of en, zh, de, "), "{error}");
    }
}
