//! Models with many languages. Their weights are computed from a formula, as in `make_goldens.py`.

use std::{collections::BTreeMap, fs, path::Path};

use diarize_audio::{Settings, read};
use diarize_testkit::repository;
use diarize_words::Options;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

use crate::devices::whisper;

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

/// Writes a tokenizer. Only bytes and special tokens have a meaning.
fn tokenizer(languages: &[&str]) -> Value {
    // The characters that stand for bytes, as in GPT-2.
    let is_plain = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let others = (0..=255u8).filter(|byte| !is_plain(byte)).zip('\u{100}'..).map(|(_, letter)| letter);
    let letters = (0..=255u8).filter(is_plain).map(char::from).chain(others);
    let mut vocabulary: BTreeMap<String, usize> = letters.map(String::from).zip(0..).collect();
    vocabulary.extend((256..TEXT_TOKENS).map(|id| (format!("unused{id}"), id)));
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
    json!({"model": {"type": "BPE", "vocab": vocabulary, "merges": []}, "added_tokens": added})
}

pub fn write(folder: &Path, width: usize, filters: usize, languages: &[&str]) {
    let vocabulary = TEXT_TOKENS + 2 + languages.len() + 6 + 1501;
    let shapes = shapes(width, filters, vocabulary);
    let bytes: Vec<Vec<u8>> =
        shapes.iter().enumerate().map(|(index, (name, shape))| values(index, name, shape)).collect();
    let tensors = shapes
        .into_iter()
        .zip(&bytes)
        .map(|((name, shape), bytes)| (name, TensorView::new(Dtype::F32, shape, bytes).unwrap()));
    fs::write(folder.join("model.safetensors"), safetensors::serialize(tensors, None).unwrap()).unwrap();
    let heads = json!({"encoder_attention_heads": 2, "decoder_attention_heads": 2});
    fs::write(folder.join("config.json"), heads.to_string()).unwrap();
    fs::write(folder.join("tokenizer.json"), tokenizer(languages).to_string()).unwrap();
}

#[test]
fn the_language_is_that_of_openai_whisper() {
    let goldens = fs::read_to_string(repository("tests/goldens/words/languages.json")).unwrap();
    let goldens: Value = serde_json::from_str(&goldens).unwrap();
    let recording = read(&repository("tests/data/conversation.flac"), &Settings::default()).unwrap().samples;
    for (filters, vocabulary) in [(80, "51865"), (128, "51866")] {
        let golden = &goldens[vocabulary];
        let languages: Vec<&str> =
            golden["languages"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 16, filters, &languages);
        let whisper = whisper(folder.path());
        assert!(whisper.is_multilingual());
        assert_eq!(whisper.languages(), languages);
        let (code, probability) = whisper.detect_language(&[&recording[..160_000]]).unwrap();
        let expected = golden["probability"].as_f64().unwrap();
        assert_eq!(code, golden["best"].as_str().unwrap());
        assert!((probability - expected).abs() < 1e-4, "{vocabulary}: {probability} {expected}");

        let mut options = Options::default();
        options.translate = true;
        options.language = Some("yue".to_owned());
        assert_eq!(whisper.check(&options).is_ok(), vocabulary == "51866");
        options.language = Some("klingon".to_owned());
        let error = whisper.check(&options).unwrap_err().to_string();
        assert!(error.starts_with("language is `klingon`, but must be one of en, zh, de, "), "{error}");
    }
}
