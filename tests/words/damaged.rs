//! Damaged folders of models: one clear sentence, and never a panic.

use std::{fs, path::Path};

use diarize_words::Whisper;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tempfile::TempDir;

use crate::networks::{toy, try_model};

/// A copy of a toy model.
fn copy(folder: &str) -> TempDir {
    let target = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(toy(folder)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), target.path().join(entry.file_name())).unwrap();
    }
    target
}

fn error(folder: &Path) -> String {
    try_model(folder).unwrap_err().to_string()
}

#[test]
fn a_folder_without_a_model_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(error(folder.path()).contains("not a Whisper model: it has neither model.safetensors"));
    assert!(error(&folder.path().join("missing")).contains("missing"));
    let folder = copy("toy");
    fs::remove_file(folder.path().join("config.json")).unwrap();
    assert!(error(folder.path()).contains("config.json"));
}

#[test]
fn a_model_without_tokenizer_is_an_error() {
    let error = Whisper::load(toy("toy")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read") && error.contains("tokenizer.json"), "{error}");
}

#[test]
fn pointers_of_git_lfs_and_web_pages_are_named() {
    let stand_ins = [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "a Git LFS pointer"),
        ("<!DOCTYPE html><html></html>", "a web page"),
    ];
    for (content, what) in stand_ins {
        for (folder, name) in
            [("toy", "model.safetensors"), ("toy", "config.json"), ("toy-ctranslate2-float16", "model.bin")]
        {
            let folder = copy(folder);
            fs::write(folder.path().join(name), content).unwrap();
            let error = error(folder.path());
            assert!(error.contains(name) && error.contains(what), "{error}");
        }
        let folder = copy("toy");
        fs::write(folder.path().join("tokenizer.json"), content).unwrap();
        let error = Whisper::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json") && error.contains(what), "{error}");
    }
}

#[test]
fn heads_that_the_decoder_lacks_are_an_error() {
    let folder = copy("toy");
    for heads in ["[[3, 0]]", "[[0, 4]]", "[]"] {
        let text = format!("{{\"alignment_heads\": {heads}}}");
        fs::write(folder.path().join("generation_config.json"), text).unwrap();
        assert!(error(folder.path()).contains("alignment heads"), "{heads}");
    }
    fs::write(
        folder.path().join("config.json"),
        r#"{"encoder_attention_heads":3,"decoder_attention_heads":4}"#,
    )
    .unwrap();
    assert!(error(folder.path()).contains("3 attention heads do not divide the width 16"));
}

#[test]
fn sizes_that_the_tensors_do_not_have_are_an_error() {
    let folder = copy("toy");
    let config = folder.path().join("config.json");
    for (sizes, told) in [
        (r#""d_model":17"#, "d_model is 16 in its tensors, but 17 in config.json"),
        (r#""decoder_layers":4"#, "decoder_layers is 3 in its tensors, but 4"),
        (r#""max_target_positions":448"#, "max_target_positions is 12 in its tensors, but 448"),
    ] {
        let heads = r#""encoder_attention_heads":2,"decoder_attention_heads":4"#;
        fs::write(&config, format!("{{{heads},{sizes}}}")).unwrap();
        let error = error(folder.path());
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_model_without_mel_bands_is_an_error() {
    let folder = copy("toy");
    let file = folder.path().join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let nothing = |(name, view): (&str, TensorView<'_>)| match name.ends_with("encoder.conv1.weight") {
        true => (name.to_owned(), Dtype::F32, vec![view.shape()[0], 0, 3], Vec::new()),
        false => (name.to_owned(), view.dtype(), view.shape().to_vec(), view.data().to_vec()),
    };
    let changed: Vec<_> = all.iter().map(nothing).collect();
    let views = changed.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    fs::write(&file, safetensors::serialize(views, None).unwrap()).unwrap();
    assert!(error(folder.path()).contains("a tensor has no values"));
}

#[test]
fn a_model_without_one_of_its_layers_is_an_error() {
    let folder = copy("toy");
    let file = folder.path().join("model.safetensors");
    let bytes = fs::read(&file).unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    for network in ["encoder", "decoder"] {
        let of_first = format!("{network}.layers.0.");
        assert!(all.names().iter().any(|name| name.contains(&format!("{network}.layers.1."))));
        let kept = all.iter().filter(|(name, _)| !name.contains(&of_first));
        fs::write(&file, safetensors::serialize(kept, None).unwrap()).unwrap();
        let error = error(folder.path());
        assert!(error.contains(&format!("{of_first}fc1.weight` is missing")), "{error}");
    }
}

#[test]
fn a_truncated_model_is_an_error() {
    for (name, folder) in [("model.safetensors", "toy"), ("model.bin", "toy-ctranslate2-float16")] {
        let folder = copy(folder);
        let file = folder.path().join(name);
        let bytes = fs::read(&file).unwrap();
        for length in (0..200).chain((200..bytes.len()).step_by(997)) {
            fs::write(&file, &bytes[..length]).unwrap();
            let error = error(folder.path());
            assert!(error.contains(name), "{length}: {error}");
        }
    }
}

#[test]
fn damaged_bytes_never_panic() {
    let mut random = fastrand::Rng::with_seed(26);
    for (name, folder) in [("model.safetensors", "toy"), ("model.bin", "toy-ctranslate2-int8")] {
        let folder = copy(folder);
        let file = folder.path().join(name);
        let bytes = fs::read(&file).unwrap();
        let mut failed = 0;
        for round in 0..400 {
            let mut damaged = bytes.clone();
            // Half of the damage hits the first names and shapes.
            let reach = if round % 2 == 0 { 300 } else { bytes.len() };
            for _ in 0..3 {
                let at = random.usize(..reach);
                damaged[at] = random.u8(..);
            }
            fs::write(&file, &damaged).unwrap();
            failed += usize::from(try_model(folder.path()).is_err());
        }
        assert!(failed > 100, "{name}: {failed}");
    }
}

#[test]
fn quantization_to_16_bit_integers_is_an_error() {
    let folder = copy("toy-ctranslate2-float16");
    let file = folder.path().join("model.bin");
    let mut bytes = fs::read(&file).unwrap();
    let name = b"encoder/conv1/weight\0";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len();
    bytes[at + 1 + 3 * 4] = 2; // after the number of axes and three axes
    fs::write(&file, bytes).unwrap();
    assert!(error(folder.path()).contains("convert the model with --quantization float16"));
}
