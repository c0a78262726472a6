//! Compares both networks with openai-whisper's, on a toy model with random weights.

use std::{
    fs,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::whisper::{Config, model::Whisper};
use diarize::Precision;
use diarize_testkit::{Golden, device, repository};
use diarize_words::unstable::{Model, Rows};
use ndarray::{Array1, Array2, Array3};
use safetensors::SafeTensors;

/// f32 noise: numbers up to about 10, summed in a different order.
const TOLERANCE: f32 = 2e-5;

/// Loads both networks on the device of the tests.
pub fn try_model(folder: &Path) -> Result<Model, diarize_words::Error> {
    Model::load(folder, device(), Precision::F32)
}

pub fn model(folder: &Path) -> Model {
    try_model(folder).unwrap()
}

pub fn toy(folder: &str) -> PathBuf {
    repository("tests/goldens/words").join(folder)
}

pub fn golden() -> Golden {
    Golden::open("words/toy")
}

pub fn rows(golden: &Golden, name: &str) -> Rows {
    let array: Array2<f32> = golden.get(name);
    array.outer_iter().map(|row| row.to_vec()).collect()
}

pub fn tokens(golden: &Golden) -> Vec<u32> {
    let tokens: Array1<i64> = golden.get("tokens");
    tokens.iter().map(|&token| token as u32).collect()
}

/// The largest difference.
pub fn difference(found: &Rows, expected: &Rows) -> f32 {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().flatten().zip(expected.iter().flatten());
    assert_eq!(found.iter().flatten().count(), expected.iter().flatten().count());
    largest(pairs.map(|(found, expected)| f64::from((found - expected).abs()))) as f32
}

#[test]
fn outputs_match_openai_whisper() {
    let golden = golden();
    let model = model(&toy("toy"));
    let encoded = model.encode(&rows(&golden, "mel")).unwrap();
    assert!(difference(&encoded, &rows(&golden, "encoded")) < TOLERANCE);
    let tokens = tokens(&golden);
    let (logits, attention) = model.decode(&encoded, &[&tokens]).unwrap();
    assert!(difference(&logits, &rows(&golden, "logits")) < TOLERANCE);
    let expected: Array3<f32> = golden.get("attention");
    assert_eq!(attention.len(), 3);
    for (head, expected) in attention.iter().zip(expected.outer_iter()) {
        let expected = expected.outer_iter().map(|row| row.to_vec()).collect();
        assert!(difference(head, &expected) < TOLERANCE);
    }
}

/// candle's decoder has the approximation of GELU by `tanh`; apart from that, it is the same network.
#[test]
fn logits_are_near_those_of_candle() {
    let config = Config {
        num_mel_bins: 6,
        max_source_positions: 10,
        d_model: 16,
        encoder_attention_heads: 2,
        encoder_layers: 2,
        vocab_size: 40,
        max_target_positions: 12,
        decoder_attention_heads: 4,
        decoder_layers: 3,
        suppress_tokens: Vec::new(),
    };
    let bytes = fs::read(toy("toy").join("model.safetensors")).unwrap();
    let weights = VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu).unwrap();
    let mut candle = Whisper::load(&weights, config).unwrap();
    let golden = golden();
    let (encoded, tokens) = (rows(&golden, "encoded"), tokens(&golden));
    let tensor = |rows: &Rows| Tensor::new(rows.clone(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let input = Tensor::new(tokens.as_slice(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
    let output = candle.decoder.forward(&input, &tensor(&encoded), true).unwrap();
    let candle = candle.decoder.final_linear(&output).unwrap().squeeze(0).unwrap().to_vec2().unwrap();
    let (logits, _) = model(&toy("toy")).decode(&encoded, &[&tokens]).unwrap();
    let apart = difference(&logits, &candle);
    assert!(apart > TOLERANCE && apart < 0.01, "{apart}");
}

#[test]
fn the_cache_of_the_decoder_changes_nothing() {
    let golden = golden();
    let model = model(&toy("toy"));
    let (encoded, tokens) = (rows(&golden, "encoded"), tokens(&golden));
    let parts = [&tokens[..3], &tokens[3..4], &tokens[4..5], &tokens[5..]];
    let (logits, _) = model.decode(&encoded, &parts).unwrap();
    assert!(difference(&logits, &rows(&golden, "logits")) < TOLERANCE);
}

#[test]
fn windows_decoded_together_do_not_see_each_other() {
    let golden = golden();
    let model = model(&toy("toy"));
    let (encoded, tokens) = (rows(&golden, "encoded"), tokens(&golden));
    let scaled = |factor: f32| -> Rows {
        encoded.iter().map(|row| row.iter().map(|value| value * factor).collect()).collect()
    };
    let windows = [encoded.clone(), scaled(0.5), scaled(-1.0)];
    let reversed: Vec<u32> = tokens.iter().rev().copied().collect();
    for short in [0, 2] {
        // The last text is `short` tokens shorter.
        let texts = [&tokens[..], &reversed, &tokens[short..]];
        let [before, after] = model.decode_together(&windows, &texts, 3, &[1, 2]).unwrap();
        let alone: Vec<Rows> = windows
            .iter()
            .zip(texts)
            .map(|(window, text)| model.decode(window, &[text]).unwrap().0)
            .collect();
        let starts: Rows = [&alone[0][..3], &alone[1][..3], &alone[2][..3 - short]].concat();
        let before = [&before[..6], &before[6 + short..]].concat();
        assert!(difference(&before, &starts) < TOLERANCE);
        let rests: Rows = [&alone[1][3..], &alone[2][3 - short..]].concat();
        assert!(difference(&after, &rests) < TOLERANCE);
        assert!(difference(&alone[1], &model.decode(&windows[0], &[&reversed]).unwrap().0) > 0.01);
    }
}

#[test]
fn a_model_can_consist_of_several_files() {
    let (mel, folder) = (rows(&golden(), "mel"), tempfile::tempdir().unwrap());
    for name in ["config.json", "generation_config.json"] {
        fs::copy(toy("toy").join(name), folder.path().join(name)).unwrap();
    }
    let bytes = fs::read(toy("toy/model.safetensors")).unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let index = folder.path().join("model.safetensors.index.json");
    let write_index = |decoder: &str| {
        let mut files = serde_json::Map::new();
        for name in all.names() {
            let file = if name.contains("decoder") { decoder } else { "encoder.safetensors" };
            files.insert(name.to_owned(), file.into());
        }
        fs::write(&index, serde_json::json!({"weight_map": files}).to_string()).unwrap();
    };
    for network in ["encoder", "decoder"] {
        let own = all.iter().filter(|(name, _)| name.contains(network));
        let file = folder.path().join(format!("{network}.safetensors"));
        fs::write(file, safetensors::serialize(own, None).unwrap()).unwrap();
    }
    write_index("decoder.safetensors");
    let encoded = |folder: &Path| model(folder).encode(&mel).unwrap();
    assert!(encoded(folder.path()) == encoded(&toy("toy")));
    for (file, problem) in
        [("missing.safetensors", "missing.safetensors"), ("../x", "not the name of a file")]
    {
        write_index(file);
        let error = try_model(folder.path()).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn both_formats_give_the_same_model() {
    let golden = golden();
    let (mel, tokens) = (rows(&golden, "mel"), tokens(&golden));
    let outputs = |folder: &str| {
        let model = model(&toy(folder));
        let encoded = model.encode(&mel).unwrap();
        let (logits, attention) = model.decode(&encoded, &[&tokens]).unwrap();
        (encoded, logits, attention)
    };
    let hub = outputs("toy");
    assert!(outputs("toy-ctranslate2-float32") == hub);
    assert!(outputs("toy-ctranslate2-float16") == hub, "f16 holds these weights exactly");
    let (encoded, logits, _) = outputs("toy-ctranslate2-int8");
    let [encoded, logits] = [difference(&encoded, &hub.0), difference(&logits, &hub.1)];
    assert!(encoded > 1e-4 && encoded < 0.1 && logits < 0.3, "8 bits: {encoded} {logits}");
}

/// The largest of some differences; NaN if one is.
pub fn largest(differences: impl Iterator<Item = f64>) -> f64 {
    let larger =
        |largest: f64, other: f64| if largest.is_nan() || other <= largest { largest } else { other };
    differences.fold(0.0, larger)
}
