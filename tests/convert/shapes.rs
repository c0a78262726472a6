//! Compares networks with non-default shapes with the real pyannote.audio 3.3.2 (`make_shapes.py`).

use std::fs;

use candle_core::{Device, Tensor};
use diarize::{
    model::{Hysteresis, LinearArchitecture, LstmArchitecture, MANIFEST, Manifest, ModelFiles},
    unstable::{PyanNet, WeSpeaker, Weights, resize_nearest},
};
use diarize_convert::{ConvertOptions, convert};
use diarize_testkit::{Golden, deterministic_model};
use ndarray::ArrayD;

use crate::support::{golden, no_hub};

const SEED: u64 = 5;
const SAMPLES: usize = 24_000;

/// Maximum error as a multiple of PyTorch's own f32 noise, because both compute in f32.
const TIMES: f32 = 3.0;

fn waveform() -> Vec<f32> {
    let value = |index| 2.0 * deterministic_model::uniform("waveform", index, SEED) - 1.0;
    (0..SAMPLES).map(|index| (0.3 * value(index)) as f32).collect()
}

/// The deterministic model with the default architecture, modified by `change`.
fn deterministic(change: impl FnOnce(&mut Manifest)) -> ModelFiles {
    let mut manifest = Manifest::pyannote_3_1("of another shape", "CC0-1.0", "a test");
    change(&mut manifest);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(MANIFEST), manifest.to_toml()).unwrap();
    deterministic_model::fill(dir.path(), SEED).unwrap();
    ModelFiles::read(dir.path()).unwrap()
}

fn segment(files: &ModelFiles) -> Tensor {
    let weights = Weights::open(&files.segmentation).unwrap();
    let network = PyanNet::load(&weights, &files.manifest.segmentation).unwrap();
    network.forward(&Tensor::from_vec(waveform(), (1, SAMPLES), &Device::Cpu).unwrap()).unwrap()
}

/// Compares with a golden tensor. `noise` is the difference between PyTorch's f32 and f64 results, relative to the
/// largest value.
#[track_caller]
fn assert_is_golden(name: &str, noise: f32, found: &Tensor) {
    let golden = Golden::open("convert/shapes");
    let expected: ArrayD<f32> = golden.get(name);
    let found: Vec<f32> = found.flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(found.len(), expected.len(), "{name}: shape {:?}", expected.shape());
    let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    println!("{name}: {:.1e} of the largest value, {largest}", worst / largest);
    assert!(found.iter().all(|value| value.is_finite()), "{name}");
    assert!(worst <= TIMES * noise * largest, "{name}: off by {worst} of {largest}");
}

#[test]
fn a_sincnet_with_stride_5_matches_pyannote() {
    assert_is_golden(
        "stride_5",
        8.1e-6,
        &segment(&deterministic(|manifest| manifest.segmentation.sincnet_stride = 5)),
    );
}

#[test]
fn an_lstm_with_two_layers_and_one_direction_matches_pyannote() {
    let lstm = LstmArchitecture { hidden_size: 64, num_layers: 2, bidirectional: false };
    assert_is_golden(
        "lstm_2x64_one_direction",
        3.6e-6,
        &segment(&deterministic(|manifest| manifest.segmentation.lstm = lstm)),
    );
}

#[test]
fn a_network_without_linear_layers_matches_pyannote() {
    let linear = LinearArchitecture { hidden_size: 0, num_layers: 0 };
    assert_is_golden(
        "no_linear",
        8.5e-6,
        &segment(&deterministic(|manifest| manifest.segmentation.linear = linear)),
    );
}

#[test]
fn a_network_without_a_powerset_matches_pyannote() {
    let multilabel = Some(Hysteresis { onset: 0.5, offset: 0.5 });
    assert_is_golden(
        "multilabel",
        4.1e-5,
        &segment(&deterministic(|manifest| manifest.segmentation.multilabel = multilabel)),
    );
}

/// A real checkpoint with one LSTM module per layer, no powerset and random weights.
#[test]
fn a_converted_checkpoint_matches_pyannote() {
    let dir = tempfile::tempdir().unwrap();
    deterministic_model::write(dir.path(), SEED).unwrap();
    let embedding = dir.path().join("embedding.safetensors").to_str().unwrap().to_owned();
    let options = ConvertOptions { embedding: Some(embedding), ..ConvertOptions::default() };
    let converted = convert(golden("small.ckpt").to_str().unwrap(), &options, &mut no_hub).unwrap();
    let model = dir.path().join("converted");
    converted.write(&model, options.precision).unwrap();
    assert_is_golden("small", 3e-6, &segment(&ModelFiles::read(&model).unwrap()));
}

#[test]
fn a_resnet_with_152_layers_matches_pyannote() {
    let files = deterministic(|manifest| {
        manifest.embedding.blocks = [3, 8, 36, 3];
        manifest.embedding.bottleneck = true;
    });
    let weights = Weights::open(&files.embedding).unwrap();
    let network = WeSpeaker::load(&weights, &files.manifest.embedding).unwrap();
    let mask: Vec<f32> = (0..50).map(|frame| if (20..35).contains(&frame) { 0.0 } else { 1.0 }).collect();
    let frames = network.output_frames(SAMPLES);
    let mask: Vec<f32> = resize_nearest(&mask, frames).collect();
    let mask = Tensor::from_vec(mask, (1, 1, frames), &Device::Cpu).unwrap();
    let waveform = Tensor::from_vec(waveform(), (1, SAMPLES), &Device::Cpu).unwrap();
    assert_is_golden("resnet152", 3e-6, &network.forward(&waveform, &mask).unwrap());
}
