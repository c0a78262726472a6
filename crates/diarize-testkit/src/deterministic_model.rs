//! A model directory whose weights are computed by a formula.
//!
//! The weights only depend on the tensors' names, their shapes and a seed, and can be reproduced in any
//! language, so the golden tests need no checkpoint. With `s = FNV-1a(name) ^ seed`, value `i` of a tensor
//! is computed from `z = splitmix64(s + (i + 1) * 0x9E3779B97F4A7C15)` and `u = (z >> 40) / 2^24`, in `[0,
//! 1)`.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use diarize::{
    clustering::{Agglomerative, Method, Settings},
    model::{
        EmbeddingArchitecture, LstmArchitecture, MANIFEST, Manifest, ModelFiles, SegmentationArchitecture,
        VoiceWindows,
    },
};
use safetensors::tensor::{Dtype, TensorView};

/// Writes the model directory for `seed`, with the clustering parameters of the golden files.
///
/// # Errors
/// If the directory cannot be written.
pub fn write(dir: &Path, seed: u64) -> Result<()> {
    write_manifest(dir, &manifest(seed))?;
    fill(dir, seed)
}

/// The model for `seed` in memory, with settings for comparing voices in its manifest.
///
/// # Errors
/// If the temporary directory cannot be written.
pub fn with_voices(seed: u64) -> Result<ModelFiles> {
    in_memory(manifest(seed), seed)
}

/// Like [`with_voices`], but the residual network has only four blocks and a quarter of the channels, and the
/// segmentation network has only one small LSTM layer. Both are much faster. For tests of everything around the networks.
///
/// # Errors
/// If the temporary directory cannot be written.
pub fn small_with_voices(seed: u64) -> Result<ModelFiles> {
    let mut manifest = manifest(seed);
    manifest.embedding.blocks = [1; 4];
    manifest.embedding.channels = 8;
    manifest.segmentation.lstm = LstmArchitecture { hidden_size: 32, num_layers: 1, bidirectional: true };
    in_memory(manifest, seed)
}

fn manifest(seed: u64) -> Manifest {
    let mut manifest = Manifest::pyannote_3_1(
        &format!("deterministic-{seed}"),
        "CC0-1.0",
        "cargo xtask deterministic-model: weights from a formula, for tests",
    );
    let agglomerative = Agglomerative { threshold: 0.075, min_cluster_size: 4, ..Agglomerative::default() };
    manifest.parameters.clustering =
        Settings::speaker_diarization_3_1().with_method(Method::Agglomerative(agglomerative));
    manifest
}

fn in_memory(manifest: Manifest, seed: u64) -> Result<ModelFiles> {
    let dir = tempfile::tempdir().context("cannot make a temporary directory")?;
    write_manifest(dir.path(), &manifest)?;
    fill(dir.path(), seed)?;
    let mut files = ModelFiles::read(dir.path())?;
    files.manifest.voices = Some(VoiceWindows { temperature: 0.15, duration: 1.0, hop: 0.32 });
    Ok(files)
}

fn write_manifest(dir: &Path, manifest: &Manifest) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let path = dir.join(MANIFEST);
    fs::write(&path, manifest.to_toml()).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes the weights for the manifest of a directory.
///
/// # Errors
/// If there is no valid manifest, or the directory cannot be written.
pub fn fill(dir: &Path, seed: u64) -> Result<()> {
    let path = dir.join(MANIFEST);
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest = Manifest::parse(&path, &text)?;
    write_weights(
        &dir.join(&manifest.segmentation.weights),
        segmentation_shapes(&manifest.segmentation),
        seed,
    )?;
    write_weights(&dir.join(&manifest.embedding.weights), embedding_shapes(&manifest.embedding), seed)
}

type Shapes = Vec<(String, Vec<usize>)>;

fn write_weights(path: &Path, shapes: Shapes, seed: u64) -> Result<()> {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let bytes = values(&name, &shape, seed).iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let tensors = bytes
        .iter()
        .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes)?)))
        .collect::<Result<BTreeMap<_, _>>>()?;
    safetensors::serialize_to_file(tensors, None, path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Names and shapes of the segmentation network's tensors, as in its state dict.
fn segmentation_shapes(architecture: &SegmentationArchitecture) -> Shapes {
    let mut shapes = Shapes::new();
    let mut add = |name: String, shape: &[usize]| shapes.push((name, shape.to_vec()));
    let affine = |add: &mut dyn FnMut(String, &[usize]), name: &str, shape: &[usize]| {
        add(format!("{name}.weight"), shape);
        add(format!("{name}.bias"), &shape[..1]);
    };
    affine(&mut add, "sincnet.wav_norm1d", &[1]);
    add("sincnet.conv1d.0.filterbank.low_hz_".into(), &[40, 1]);
    add("sincnet.conv1d.0.filterbank.band_hz_".into(), &[40, 1]);
    affine(&mut add, "sincnet.conv1d.1", &[60, 80, 5]);
    affine(&mut add, "sincnet.conv1d.2", &[60, 60, 5]);
    for (norm, channels) in [80, 60, 60].into_iter().enumerate() {
        affine(&mut add, &format!("sincnet.norm1d.{norm}"), &[channels]);
    }
    let lstm = &architecture.lstm;
    let mut inputs = 60;
    for layer in 0..lstm.num_layers {
        for suffix in &["", "_reverse"][..lstm.directions()] {
            add(format!("lstm.weight_ih_l{layer}{suffix}"), &[4 * lstm.hidden_size, inputs]);
            add(format!("lstm.weight_hh_l{layer}{suffix}"), &[4 * lstm.hidden_size, lstm.hidden_size]);
            add(format!("lstm.bias_ih_l{layer}{suffix}"), &[4 * lstm.hidden_size]);
            add(format!("lstm.bias_hh_l{layer}{suffix}"), &[4 * lstm.hidden_size]);
        }
        inputs = lstm.outputs();
    }
    for layer in 0..architecture.linear.num_layers {
        affine(&mut add, &format!("linear.{layer}"), &[architecture.linear.hidden_size, inputs]);
        inputs = architecture.linear.hidden_size;
    }
    affine(&mut add, "classifier", &[architecture.classes(), inputs]);
    shapes
}

/// Names and shapes of the embedding network's tensors, as in its state dict.
fn embedding_shapes(architecture: &EmbeddingArchitecture) -> Shapes {
    let mut shapes = Shapes::new();
    let mut convolution = |conv: String, bn: String, [outputs, inputs, size]: [usize; 3]| {
        shapes.push((format!("{conv}.weight"), vec![outputs, inputs, size, size]));
        for part in ["weight", "bias", "running_mean", "running_var"] {
            shapes.push((format!("{bn}.{part}"), vec![outputs]));
        }
    };
    let mut inputs = architecture.channels;
    convolution("resnet.conv1".into(), "resnet.bn1".into(), [inputs, 1, 3]);
    for (stage, &blocks) in architecture.blocks.iter().enumerate() {
        let (inner, outputs) = (architecture.channels << stage, architecture.outputs(stage));
        for block in 0..blocks {
            let name = format!("resnet.layer{}.{block}", stage + 1);
            let mut inside = |number: usize, shape| {
                convolution(format!("{name}.conv{number}"), format!("{name}.bn{number}"), shape);
            };
            if architecture.bottleneck {
                inside(1, [inner, inputs, 1]);
                inside(2, [inner, inner, 3]);
                inside(3, [outputs, inner, 1]);
            } else {
                inside(1, [inner, inputs, 3]);
                inside(2, [outputs, inner, 3]);
            }
            if block == 0 && (stage > 0 || inputs != outputs) {
                convolution(format!("{name}.shortcut.0"), format!("{name}.shortcut.1"), [outputs, inputs, 1]);
            }
            inputs = outputs;
        }
    }
    shapes.push(("resnet.seg_1.weight".into(), vec![architecture.dimension, 2 * inputs * 10]));
    shapes.push(("resnet.seg_1.bias".into(), vec![architecture.dimension]));
    shapes
}

/// The values of a tensor, row-major: computed in f64, then rounded to f32.
fn values(name: &str, shape: &[usize], seed: u64) -> Vec<f32> {
    let is_norm = shape.len() == 1 && ["norm", ".bn", "shortcut.1"].iter().any(|part| name.contains(part));
    let gain = match shape.len() {
        _ if name == "classifier.weight" => 20.0,
        _ if name.starts_with("linear.") => 1.5,
        4 => 0.8,
        3 => 1.5,
        _ => 1.0,
    };
    let fan_in = shape[1..].iter().product::<usize>() as f64;
    let signed = |scale: f64| -> Rule { Box::new(move |_, u| scale * (2.0 * u - 1.0)) };
    let above = |least: f64, scale: f64| -> Rule { Box::new(move |_, u| least + scale * u) };
    let rule = match name {
        _ if name.ends_with("low_hz_") => Box::new(|index, u| 30.0 + 150.0 * index + 40.0 * u),
        _ if name.ends_with("band_hz_") => above(60.0, 200.0),
        _ if name.ends_with("running_var") => above(0.5, 1.0),
        _ if name.ends_with("running_mean") => signed(0.3),
        _ if is_norm && name.ends_with(".weight") => above(0.5, 1.0),
        _ if is_norm && name.ends_with(".bias") => signed(0.2),
        _ if name.contains("bias") => signed(0.1),
        _ if name.starts_with("lstm.weight") => signed(2.0 * (3.0f64 / 128.0).sqrt()),
        _ => signed(gain * (3.0 / fan_in).sqrt()),
    };
    let start = fnv1a(name) ^ seed;
    let value = |index: usize| rule(index as f64, splitmix(start, index)) as f32;
    (0..shape.iter().product()).map(value).collect()
}

/// Computes a value from its position in the tensor and a number in `[0, 1)`.
type Rule = Box<dyn Fn(f64, f64) -> f64>;

/// A number in `[0, 1)` from a tensor's name, a position and a seed.
pub fn uniform(name: &str, index: usize, seed: u64) -> f64 {
    splitmix(fnv1a(name) ^ seed, index)
}

fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Number `index` of the sequence that starts at `start`, in `[0, 1)`.
fn splitmix(start: u64, index: usize) -> f64 {
    let mut z = start.wrapping_add((index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 40) as f64 / f64::from(1 << 24)
}
