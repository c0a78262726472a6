//! Folders with GGUF files. The tests write them with candle.

use std::{
    fs::{self, File},
    path::Path,
};

use candle_core::{
    Device, Tensor,
    quantized::{GgmlDType, QTensor, gguf_file},
    safetensors::{load, save},
};
use diarize_words::{Whisper, unstable::Rows};
use tempfile::TempDir;

use crate::{
    languages,
    networks::{model, toy, try_model},
};

/// All kinds of values in GGUF files that candle reads.
const KINDS: [GgmlDType; 13] = [
    GgmlDType::Q8_0,
    GgmlDType::Q4_0,
    GgmlDType::Q4_1,
    GgmlDType::Q5_0,
    GgmlDType::Q5_1,
    GgmlDType::Q2K,
    GgmlDType::Q3K,
    GgmlDType::Q4K,
    GgmlDType::Q5K,
    GgmlDType::Q6K,
    GgmlDType::F16,
    GgmlDType::BF16,
    GgmlDType::F32,
];

/// The tensors of a model, quantized: matrices as all kinds for which their rows are long enough in turn, kernels of convolutions as f16.
fn quantized(file: &Path) -> Vec<(String, QTensor)> {
    let mut tensors: Vec<(String, Tensor)> = load(file, &Device::Cpu).unwrap().into_iter().collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let mut kinds = KINDS.into_iter().cycle();
    let quantize = |(name, tensor): (String, Tensor)| {
        let kind = match tensor.dims() {
            [_, inputs] => kinds.find(|kind| inputs.is_multiple_of(kind.block_size())).unwrap(),
            [_, _, _] => GgmlDType::F16,
            _ => GgmlDType::F32,
        };
        (name, QTensor::quantize(&tensor, kind).unwrap())
    };
    tensors.into_iter().map(quantize).collect()
}

fn write(file: &Path, tensors: &[(String, QTensor)]) {
    let tensors: Vec<(&str, &QTensor)> =
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let alignment = gguf_file::Value::U32(32);
    let name = gguf_file::Value::String("whisper".to_owned());
    let metadata = [("general.architecture", &name), ("general.alignment", &alignment)];
    gguf_file::write(&mut File::create(file).unwrap(), &metadata, &tensors).unwrap();
}

/// The toy model with a GGUF file.
fn quantized_toy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(toy("toy").join("config.json"), folder.path().join("config.json")).unwrap();
    write(&folder.path().join("model.gguf"), &quantized(&toy("toy").join("model.safetensors")));
    folder
}

fn error(folder: &Path) -> String {
    try_model(folder).unwrap_err().to_string()
}

#[test]
fn outputs_are_those_of_the_dequantized_weights() {
    let [original, dequantized, gguf] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    languages::write(original.path(), 256, 80, &["en"], &[]);
    let tensors = quantized(&original.path().join("model.safetensors"));
    for folder in [&dequantized, &gguf] {
        fs::copy(original.path().join("config.json"), folder.path().join("config.json")).unwrap();
    }
    write(&gguf.path().join("model-tiny-q80.gguf"), &tensors);
    let tensors = tensors.iter().map(|(name, tensor)| (name, tensor.dequantize(&Device::Cpu).unwrap()));
    save(&tensors.collect(), dequantized.path().join("model.safetensors")).unwrap();

    let mel: Rows = (0..80)
        .map(|row| (0..3000).map(|frame| ((row * 7 + frame * 13) % 29) as f32 / 29.0 - 0.5).collect())
        .collect();
    let outputs = |folder: &Path| {
        let model = model(folder);
        let encoded = model.encode(&mel).unwrap();
        let (logits, attention) = model.decode(&encoded, &[&[3, 17, 39], &[5]]).unwrap();
        (encoded, logits, attention)
    };
    assert!(outputs(gguf.path()) == outputs(dequantized.path()));
    assert!(outputs(gguf.path()) != outputs(original.path()), "nothing was quantized");
}

#[test]
fn one_of_several_files_is_named() {
    let folder = quantized_toy();
    let [chosen, other] = ["model.gguf", "model-q80.gguf"].map(|name| folder.path().join(name));
    fs::write(&other, "GGUF").unwrap();
    try_model(folder.path()).unwrap();
    fs::rename(chosen, folder.path().join("model-f16.gguf")).unwrap();
    let error = error(folder.path());
    let expected = "it has model-f16.gguf and model-q80.gguf: rename the one to use to model.gguf";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn damaged_files_are_errors() {
    let folder = quantized_toy();
    let file = folder.path().join("model.gguf");
    let bytes = fs::read(&file).unwrap();
    try_model(folder.path()).unwrap();
    for length in (0..2000).step_by(3).chain((2000..bytes.len()).step_by(997)) {
        fs::write(&file, &bytes[..length]).unwrap();
        let error = error(folder.path());
        assert!(error.contains("model.gguf: "), "{length}: {error}");
    }
    let mut random = fastrand::Rng::with_seed(31);
    let mut failed = 0;
    for round in 0..400 {
        let mut damaged = bytes.clone();
        // Half of the damage hits the first names, shapes and kinds.
        let reach = if round % 2 == 0 { 400 } else { bytes.len() };
        for _ in 0..3 {
            let at = random.usize(..reach);
            damaged[at] = random.u8(..);
        }
        fs::write(&file, &damaged).unwrap();
        if let Err(error) = try_model(folder.path()) {
            let error = error.to_string();
            assert!(error.len() < 1000 && !error.contains(char::is_control), "{error}");
            failed += 1;
        }
    }
    assert!(failed > 100, "{failed}");
}

/// The position after the first occurrence of some bytes.
fn after(bytes: &[u8], wanted: &str) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted.as_bytes()).unwrap() + wanted.len()
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let folder = quantized_toy();
    let file = folder.path().join("model.gguf");
    let bytes = fs::read(&file).unwrap();
    let changed = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        fs::write(&file, bytes).unwrap();
        error(folder.path())
    };
    // A tensor's name is followed by the number of axes, the axes, and the kind.
    let kind = after(&bytes, "model.encoder.layers.0.fc2.weight") + 4 + 2 * 8;
    let unknown = changed(kind, &99u32.to_le_bytes());
    assert!(unknown.contains("unknown dtype for tensor 99") && unknown.contains("q8_0"), "{unknown}");
    let unsupported = changed(kind, &15u32.to_le_bytes());
    assert!(unsupported.contains("Q8K is not supported"), "{unsupported}");
    let alignment = changed(after(&bytes, "general.alignment") + 4, &0u32.to_le_bytes());
    assert!(alignment.contains("the alignment is 0"), "{alignment}");
    let text = |length| gguf_file::Value::String("w".repeat(length));
    let list = gguf_file::Value::Array(vec![text(3), text(5)]);
    let numbers = gguf_file::Value::Array(vec![gguf_file::Value::F64(0.5); 9]);
    let (long, zero) = (text(70_000), gguf_file::Value::U64(0));
    let metadata = [("a", &long), ("b", &list), ("c", &numbers), ("general.alignment", &zero)];
    gguf_file::write(&mut File::create(&file).unwrap(), &metadata, &[]).unwrap();
    let late = error(folder.path());
    assert!(late.contains("the alignment is 0"), "{late}");
    for axis in [u64::MAX, 1 << 59] {
        let huge = changed(kind - 16, &[axis.to_le_bytes(), 32u64.to_le_bytes()].concat());
        assert!(huge.contains("encoder.layers.0.fc2.weight` has the shape"), "{huge}");
    }
    let not_gguf = changed(0, b"GGML");
    assert!(not_gguf.contains("not a GGUF file"), "{not_gguf}");

    let mut tensors = quantized(&toy("toy").join("model.safetensors"));
    tensors.retain(|(name, _)| name != "model.decoder.layers.1.fc2.bias");
    write(&file, &tensors);
    let missing = error(folder.path());
    assert!(missing.contains("tensor `decoder.layers.1.fc2.bias` is missing"), "{missing}");
}

#[test]
fn files_of_whisper_cpp_are_named() {
    for (name, content) in
        [("ggml-tiny.en.bin", "lmgg"), ("model.bin", "lmgg\0\0\0\0"), ("model.gguf", "lmgg")]
    {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("config.json"),
            "{\"encoder_attention_heads\":2,\"decoder_attention_heads\":4}",
        )
        .unwrap();
        let file = folder.path().join(name);
        fs::write(&file, content).unwrap();
        for path in [folder.path(), &file] {
            let error = Whisper::load(path).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("in the format of whisper.cpp"), "{error}");
        }
    }
    let folder = quantized_toy();
    let error = Whisper::load(folder.path().join("model.gguf")).unwrap_err().to_string();
    assert!(error.contains("model.gguf: a file: name the folder"), "{error}");
}
