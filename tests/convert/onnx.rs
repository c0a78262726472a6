//! Exports of networks with known weights, made by the recipes of other projects (`make_onnx.py`).

use std::{collections::BTreeSet, fs, path::Path};

use diarize::{
    Device, Diarizer,
    model::{LinearArchitecture, LstmArchitecture, Manifest},
    unstable::{Stages, sinc_filters},
};
use diarize_convert::{
    Checkpoint, ConvertOptions, Converted, Kind, Network, Precision, Tensor, Tensors, convert,
};
use diarize_testkit::{deterministic_model, wav};
use tempfile::{TempDir, tempdir};

use crate::support::{golden, no_hub};

const SEED: u64 = 5;

fn export(name: &str) -> String {
    golden("onnx").join(name).to_str().unwrap().to_owned()
}

fn network(path: &str) -> Network {
    match convert(path, &ConvertOptions::default(), &mut no_hub).unwrap() {
        Converted::Network(network) => *network,
        Converted::Pipeline(_) => panic!("{path} is not a pipeline"),
    }
}

/// The model whose networks were exported.
fn original(bottleneck: bool) -> TempDir {
    let dir = tempdir().unwrap();
    let mut manifest = Manifest::pyannote_3_1("small", "CC0-1.0", "a test");
    manifest.segmentation.lstm = LstmArchitecture { hidden_size: 4, num_layers: 2, bidirectional: true };
    manifest.segmentation.linear = LinearArchitecture { hidden_size: 4, num_layers: 2 };
    let embedding = &mut manifest.embedding;
    (embedding.bottleneck, embedding.channels, embedding.dimension) = (bottleneck, 2, 4);
    embedding.blocks = if bottleneck { [2, 1, 1, 1] } else { [1, 2, 1, 1] };
    fs::write(dir.path().join("manifest.toml"), manifest.to_toml()).unwrap();
    deterministic_model::fill(dir.path(), SEED).unwrap();
    dir
}

fn tensors(path: &Path) -> Tensors {
    Checkpoint::read(&fs::read(path).unwrap()).unwrap().tensors
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_f32().unwrap()
}

#[test]
fn a_segmentation_network_is_the_original_bit_for_bit() {
    let original = tensors(&original(false).path().join("segmentation.safetensors"));
    for name in ["segmentation.onnx", "segmentation.community.onnx", "segmentation.speakrs.safetensors"] {
        let network = network(&export(name));
        let Kind::Segmentation(architecture) = &network.kind else { panic!("{name}: {:?}", network.kind) };
        assert_eq!((architecture.lstm.hidden_size, architecture.lstm.num_layers), (4, 2), "{name}");
        assert_eq!((architecture.linear.hidden_size, architecture.linear.num_layers), (4, 2), "{name}");
        assert_eq!((architecture.speakers, architecture.simultaneous_speakers), (3, 2), "{name}");
        let (found, original) = (without_filters(network.tensors), without_filters(original.clone()));
        assert_eq!(found.0, original.0, "{name}");
        // Computed filters are in f32.
        let far = found.1.iter().zip(&original.1).fold(0.0_f32, |far, (a, b)| far.max((a - b).abs()));
        let bound = if name.contains("community") { 2e-5 } else { 0.0 };
        assert!(found.1.len() == 80 * 251 && far <= bound, "{name}: {far}");
    }
    let exporter = network(&export("segmentation.onnx")).about.exporter;
    assert_eq!(exporter.as_deref(), Some("pytorch 2.8.0"));
}

/// The other tensors, and the sinc filters.
fn without_filters(mut tensors: Tensors) -> (Tensors, Vec<f32>) {
    const BANK: &str = "sincnet.conv1d.0.filterbank";
    let mut take = |part: &str| tensors.remove(&format!("{BANK}.{part}")).map(|tensor| values(&tensor));
    let filters = match (take("filters"), take("low_hz_"), take("band_hz_")) {
        (Some(filters), None, None) => filters,
        (None, Some(low), Some(band)) => sinc_filters(&low, &band),
        _ => panic!("either filters or frequencies"),
    };
    (tensors, filters)
}

/// Checks that `found` is `original`, rounded to the nearest of 256 steps.
fn assert_rounded(name: &str, found: &[f32], original: &[f32]) {
    let range = original.iter().fold(0.0_f32, |range, value| range.max(value.abs()));
    let farthest = found.iter().zip(original).fold(0.0_f32, |far, (a, b)| far.max((a - b).abs()));
    // A step is at most a 127th of the range, and rounding moves a value by half a step.
    assert!(farthest <= range / 254.0 * 1.001, "{name}: {farthest} of {range}");
}

/// The number of different values.
fn different(values: &[f32]) -> usize {
    values.iter().map(|value| value.to_bits()).collect::<BTreeSet<_>>().len()
}

#[test]
fn rounded_networks_are_the_original_up_to_their_grid() {
    for (file, original, rounded) in [
        ("segmentation.int8.onnx", "segmentation.onnx", 13),
        ("segmentation.community.int8.onnx", "segmentation.community.onnx", 13),
        ("embedding.community.int8.onnx", "embedding.community.onnx", 15),
    ] {
        let original = network(&export(original)).tensors;
        let found = network(&export(file)).tensors;
        assert_eq!(found.keys().collect::<Vec<_>>(), original.keys().collect::<Vec<_>>(), "{file}");
        let differing: Vec<&String> = original.keys().filter(|&name| found[name] != original[name]).collect();
        assert_eq!(differing.len(), rounded, "{file}: {differing:?}");
        for name in differing {
            assert_eq!(found[name].shape, original[name].shape, "{file}: {name}");
            assert!(name.ends_with("weight") || name.contains(".weight_"), "{file}: {name}");
            let (found, expected) = (values(&found[name]), values(&original[name]));
            let label = format!("{file}: {name}");
            // Matrices of these files have a grid for each output.
            let row = match file != "segmentation.int8.onnx" && original[name].shape.len() == 2 {
                true => original[name].shape[1],
                false => expected.len(),
            };
            for (found, expected) in found.chunks(row).zip(expected.chunks(row)) {
                assert_rounded(&label, found, expected);
                assert!(different(found) <= 256, "{label}");
            }
        }
    }
}

/// The kernels and biases of all convolutions, with their batch norms folded in.
fn folded(tensors: &Tensors) -> Vec<(String, Vec<f64>)> {
    let kernels = tensors.iter().filter(|(_, tensor)| tensor.shape.len() == 4);
    let fold = |(name, kernel): (&String, &Tensor)| {
        let norm = name.trim_end_matches(".weight").replace("shortcut.0", "shortcut.1").replace("conv", "bn");
        let part = |part: &str| values(&tensors[&format!("{norm}.{part}")]);
        let (gamma, beta, mean, variance) =
            (part("weight"), part("bias"), part("running_mean"), part("running_var"));
        let scale = |output: usize| f64::from(gamma[output]) / (f64::from(variance[output]) + 1e-5).sqrt();
        let size = kernel.len() / gamma.len();
        let kernel = values(kernel).into_iter().enumerate().map(|(at, k)| f64::from(k) * scale(at / size));
        let bias = (0..gamma.len()).map(|at| f64::from(beta[at]) - f64::from(mean[at]) * scale(at));
        (name.clone(), kernel.chain(bias).collect())
    };
    kernels.map(fold).collect()
}

#[test]
fn an_embedding_network_is_the_original_with_folded_batch_norms() {
    for (file, bottleneck, blocks) in [
        ("embedding.onnx", false, [1, 2, 1, 1]),
        ("embedding.community.onnx", false, [1, 2, 1, 1]),
        ("embedding.bottleneck.onnx", true, [2, 1, 1, 1]),
    ] {
        let original = tensors(&original(bottleneck).path().join("embedding.safetensors"));
        let network = network(&export(file));
        let Kind::Embedding(architecture) = &network.kind else { panic!("{file}: {:?}", network.kind) };
        assert_eq!((architecture.blocks, architecture.bottleneck), (blocks, bottleneck), "{file}");
        assert_eq!((architecture.channels, architecture.dimension), (2, 4), "{file}");
        let names = |tensors: &Tensors| tensors.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&network.tensors), names(&original), "{file}");
        for ((name, found), (_, expected)) in folded(&network.tensors).iter().zip(folded(&original)) {
            // The exporter folds in f32.
            let close =
                |(found, expected): (&f64, f64)| (found - expected).abs() <= 1e-6 * (1.0 + expected.abs());
            assert!(found.iter().zip(expected).all(close), "{file}: {name}");
        }
        assert_eq!(network.tensors["resnet.seg_1.weight"], original["resnet.seg_1.weight"], "{file}");
    }
}

/// The same folded weights, once in an ONNX file and once in safetensors.
#[test]
fn an_embedding_network_is_the_same_in_both_formats_bit_for_bit() {
    let exported = network(&export("embedding.community.onnx")).tensors;
    assert_eq!(network(&export("embedding.speakrs.safetensors")).tensors, exported);
    let mut with_mean = network(&export("embedding.onnx")).tensors;
    let bias = "resnet.seg_1.bias";
    let shifted: Vec<f32> = values(&exported[bias])
        .iter()
        .zip([0.25, -0.5, 0.125, 1.0])
        .map(|(bias, mean)| bias - mean)
        .collect();
    assert_eq!(values(&with_mean.remove(bias).unwrap()), shifted);
    let mut without = exported;
    without.remove(bias);
    assert_eq!(with_mean, without);
}

#[test]
fn two_exports_are_a_pipeline_with_the_results_of_the_original() {
    let samples = wav::golden("tiny8");
    let stages = |model: &Path| {
        let diarizer = Diarizer::load(model, Device::Cpu).unwrap();
        diarize_testkit::diarize(&diarizer, &samples, &diarizer.options()).stages
    };
    let expected = stages(original(false).path());
    for segmentation in ["segmentation.onnx", "segmentation.community.onnx"] {
        let options = ConvertOptions {
            embedding: Some(export("embedding.community.onnx")),
            ..ConvertOptions::default()
        };
        let converted = convert(&export(segmentation), &options, &mut no_hub).unwrap();
        let dir = tempdir().unwrap();
        converted.write(dir.path(), Precision::F32).unwrap();
        assert_same_networks(stages(dir.path()), &expected);
    }
}

/// Checks that both networks have the same outputs, up to the rounding of the folded batch norms.
fn assert_same_networks(found: Stages, expected: &Stages) {
    assert_eq!(found.segmentations, expected.segmentations);
    let (found, expected) = (found.embeddings.unwrap(), expected.embeddings.as_ref().unwrap());
    let pairs = found.iter().zip(expected);
    let compared = pairs.filter(|(found, _)| found.is_finite()).inspect(|(found, expected)| {
        assert!((*found - *expected).abs() < 1e-3 * (1.0 + expected.abs()), "{found} {expected}");
    });
    assert!(compared.count() >= 4);
}

/// Exports of the genuine segmentation-3.0, which `make_onnx.py` makes of the checkpoint in the folder `shared`. The environment
/// variable `DIARIZE_EXPORTS` names their folder.
mod needs_exports {
    use std::{env, path::PathBuf};

    use diarize_testkit::shared;

    use super::*;

    #[test]
    #[ignore = "needs exports of the genuine segmentation-3.0 in the folder DIARIZE_EXPORTS"]
    fn the_genuine_network_is_the_original_bit_for_bit() {
        let folder = PathBuf::from(env::var_os("DIARIZE_EXPORTS").expect("DIARIZE_EXPORTS names a folder"));
        let original =
            network(shared("real/checkpoints/segmentation-3.0/pytorch_model.bin").to_str().unwrap());
        let export = |name: &str| network(folder.join(name).to_str().unwrap());
        for name in ["segmentation.onnx", "segmentation.community.onnx", "segmentation.speakrs.safetensors"] {
            let exported = export(name);
            assert_eq!(exported.kind, original.kind, "{name}");
            let (found, filters) = without_filters(exported.tensors);
            let (mut original, frequencies) = without_filters(original.tensors.clone());
            // A checkpoint also has the window and the times of the filters.
            original.retain(|name, _| !name.ends_with(".n_") && !name.ends_with(".window_"));
            assert_eq!(found, original, "{name}");
            let far = filters.iter().zip(&frequencies).fold(0.0_f32, |far, (a, b)| far.max((a - b).abs()));
            assert!(far <= if name.contains("community") { 2e-5 } else { 0.0 }, "{name}: {far}");
        }
        for name in ["segmentation.int8.onnx", "segmentation.community.int8.onnx"] {
            let exported = export(name);
            assert_eq!(exported.kind, original.kind, "{name}");
            for (tensor, found) in exported.tensors.iter().filter(|(tensor, _)| !tensor.ends_with("filters"))
            {
                let (found, expected) = (values(found), values(&original.tensors[tensor]));
                if found != expected {
                    assert_rounded(&format!("{name}: {tensor}"), &found, &expected);
                }
            }
        }
    }
}
