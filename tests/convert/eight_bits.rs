//! Weights in 8 bits: what is written, how exact it is, and what is said of damaged files.

use std::{collections::BTreeMap, fs, path::Path};

use diarize::{
    Device, Diarizer,
    model::{MANIFEST, ModelFiles},
};
use diarize_convert::{Checkpoint, ConvertOptions, Converted, Error, Precision, convert, load};
use diarize_testkit::{deterministic_model, repository, wav};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tempfile::TempDir;

use crate::support::no_hub;

fn converted(input: &Path, precision: Precision) -> ModelFiles {
    let options = ConvertOptions { precision, ..ConvertOptions::default() };
    match convert(input.to_str().unwrap(), &options, &mut no_hub).unwrap() {
        Converted::Pipeline(model) => *model,
        Converted::Network(network) => panic!("{}", network.kind.describe()),
    }
}

fn write(model: ModelFiles) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    Converted::Pipeline(Box::new(model)).write(dir.path(), Precision::Exact).unwrap();
    dir
}

/// A model directory in f32.
fn original() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    deterministic_model::write(dir.path(), 5).unwrap();
    dir
}

fn f32_values(bytes: &[u8]) -> BTreeMap<String, Vec<f32>> {
    let tensors = Checkpoint::read(bytes).unwrap().tensors;
    tensors.iter().map(|(name, tensor)| (name.clone(), tensor.to_f32().unwrap())).collect()
}

#[test]
fn large_matrices_get_8_bits_and_the_rest_stays() {
    let model = converted(original().path(), Precision::Q8);
    let segmentation = SafeTensors::deserialize(&model.segmentation.bytes).unwrap();
    let embedding = SafeTensors::deserialize(&model.embedding.bytes).unwrap();
    for (tensors, name, dtype, channels) in [
        (&segmentation, "lstm.weight_hh_l1_reverse", Dtype::I8, Some(512)),
        (&segmentation, "sincnet.conv1d.1.weight", Dtype::I8, Some(60)),
        (&segmentation, "classifier.weight", Dtype::F16, None),
        (&segmentation, "lstm.bias_hh_l1", Dtype::F32, None),
        (&segmentation, "sincnet.conv1d.0.filterbank.low_hz_", Dtype::F32, None),
        (&embedding, "resnet.layer3.1.conv2.weight", Dtype::I8, Some(128)),
        (&embedding, "resnet.seg_1.weight", Dtype::I8, Some(256)),
        (&embedding, "resnet.conv1.weight", Dtype::F16, None),
        (&embedding, "resnet.bn1.running_var", Dtype::F32, None),
    ] {
        assert_eq!(tensors.tensor(name).unwrap().dtype(), dtype, "{name}");
        let scales = tensors.tensor(&format!("{name}.scale")).ok();
        assert_eq!(scales.as_ref().map(|scales| scales.shape()[0]), channels, "{name}");
    }
    let bytes = model.embedding.bytes.len();
    let values: usize = f32_values(&model.embedding.bytes).values().map(Vec::len).sum();
    assert!(bytes < values * 102 / 100, "{bytes} bytes for {values} values");
}

#[test]
fn every_weight_is_within_a_step_and_sums_are_kept() {
    let original = original();
    let model = converted(original.path(), Precision::Q8);
    let before = f32_values(&fs::read(original.path().join("embedding.safetensors")).unwrap());
    let after = f32_values(&model.embedding.bytes);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    let stored = SafeTensors::deserialize(&model.embedding.bytes).unwrap();
    let mut checked = 0;
    for (name, view) in stored.iter().filter(|(_, view)| view.dtype() == Dtype::I8) {
        let length = before[name].len() / view.shape()[0];
        let scales = &stored.tensor(&format!("{name}.scale")).unwrap();
        let scales = scales.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
        for ((before, after), scale) in
            before[name].chunks(length).zip(after[name].chunks(length)).zip(scales)
        {
            let errors: Vec<f32> =
                before.iter().zip(after).map(|(before, after)| (before - after) / scale).collect();
            assert!(errors.iter().all(|error| error.abs() < 1.0), "{name}");
            assert!(errors.iter().sum::<f32>().abs() < 0.51, "{name}: {}", errors.iter().sum::<f32>());
            checked += 1;
        }
    }
    assert!(checked > 1000);
}

/// One scale per channel suits neither such large values nor the others.
#[test]
fn a_matrix_with_extreme_values_stays_f16() {
    let dir = original();
    let path = dir.path().join("embedding.safetensors");
    let bytes = fs::read(&path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let values = |view: &TensorView<'_>, factor: f32| -> Vec<u8> {
        let values = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).enumerate();
        values
            .flat_map(|(index, value)| (if index % 64 == 0 { factor * value } else { value }).to_le_bytes())
            .collect()
    };
    for (factor, dtype) in [(1.0, Dtype::I8), (50.0, Dtype::F16), (f32::INFINITY, Dtype::F16)] {
        let changed: Vec<_> = tensors
            .iter()
            .map(|(name, view)| {
                let factor = if name == "resnet.seg_1.weight" { factor } else { 1.0 };
                (name, view.dtype(), view.shape().to_vec(), values(&view, factor))
            })
            .collect();
        let views = changed.iter().map(|(name, dtype, shape, bytes)| {
            (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize_to_file(views, None, &path).unwrap();
        let model = converted(dir.path(), Precision::Q8);
        let written = SafeTensors::deserialize(&model.embedding.bytes).unwrap();
        assert_eq!(written.tensor("resnet.seg_1.weight").unwrap().dtype(), dtype, "{factor}");
        assert_eq!(written.tensor("resnet.layer4.0.conv2.weight").unwrap().dtype(), Dtype::I8);
    }
}

#[test]
fn outputs_hardly_change() {
    let original = original();
    let samples = wav::golden("tiny8");
    let load = |precision| Diarizer::from_files(&converted(original.path(), precision), Device::Cpu).unwrap();
    let (exact, rounded) = (load(Precision::F32), load(Precision::Q8));
    let options = exact.options();
    let [expected, found] = [&exact, &rounded].map(|diarizer| diarizer.segment(&samples, &options).unwrap());
    let same = expected.iter().zip(&found).filter(|(expected, found)| expected == found).count();
    // The classes of a random network are almost equally probable.
    assert!(same > expected.len() * 95 / 100, "{same} of {}", expected.len());

    let [expected, found] =
        [exact, rounded].map(|diarizer| diarizer.embed(&samples, expected.view(), &options).unwrap());
    let numbers = || expected.iter().zip(&found).filter(|(expected, _)| expected.is_finite());
    let error: f32 = numbers().map(|(expected, found)| (expected - found).powi(2)).sum();
    let size: f32 = numbers().map(|(expected, _)| expected.powi(2)).sum();
    let relative = (error / size).sqrt();
    assert!(relative > 0.0 && relative < 0.02, "{relative}");
}

#[test]
fn converting_again_changes_nothing() {
    let first = converted(original().path(), Precision::Q8);
    let dir = write(first.clone());
    let second = converted(dir.path(), Precision::Q8);
    assert!(
        first.segmentation.bytes == second.segmentation.bytes
            && first.embedding.bytes == second.embedding.bytes
    );
    let loaded = load(dir.path().to_str().unwrap(), &mut no_hub).unwrap();
    assert!(loaded.embedding.bytes == first.embedding.bytes, "a model is loaded as it is");

    let single = converted(dir.path(), Precision::F32);
    assert!(single.embedding.bytes.len() > 3 * first.embedding.bytes.len());
    assert_eq!(single.embedding_fingerprint().unwrap(), first.embedding_fingerprint().unwrap());
    assert!(f32_values(&single.segmentation.bytes) == f32_values(&first.segmentation.bytes));
}

/// The command in `weights/README.md` has been run, and would change nothing.
#[test]
fn the_bundled_model_has_8_bits() {
    let dir = repository("weights/default");
    let bundled = ModelFiles::read(&dir).unwrap();
    let again = converted(&dir, Precision::Q8);
    assert!(
        again.segmentation.bytes == bundled.segmentation.bytes
            && again.embedding.bytes == bundled.embedding.bytes
    );
    let sizes = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    assert!(sizes.sum::<u64>() <= 8_600_000);
}

#[test]
fn a_manifest_that_stays_the_same_keeps_its_comments() {
    let dir = original();
    let manifest = format!("# A comment.\n{}", fs::read_to_string(dir.path().join(MANIFEST)).unwrap());
    fs::write(dir.path().join(MANIFEST), &manifest).unwrap();
    let mut model = converted(dir.path(), Precision::Q8);
    let write = |model: &ModelFiles| {
        Converted::Pipeline(Box::new(model.clone())).write(dir.path(), Precision::Q8).unwrap();
        fs::read_to_string(dir.path().join(MANIFEST)).unwrap()
    };
    assert_eq!(write(&model), manifest);
    assert!(fs::read(dir.path().join("embedding.safetensors")).unwrap() == *model.embedding.bytes);
    model.manifest.name = "another".into();
    assert_eq!(write(&model), model.manifest.to_toml());
}

#[test]
fn networks_of_a_converted_model_are_not_silently_kept() {
    let dir = original();
    let path = dir.path().to_str().unwrap();
    let options = ConvertOptions { embedding: Some(path.to_owned()), ..ConvertOptions::default() };
    let error = convert(path, &options, &mut no_hub).unwrap_err();
    assert!(matches!(error, Error::AlreadyConverted { .. }), "{error}");
    let original = ModelFiles::read(dir.path()).unwrap().manifest.source;
    assert!(error.to_string().contains(&format!("convert its original, {original}, with")), "{error}");
}

#[test]
fn damaged_files_are_explained() {
    let values = vec![1; 6];
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    for (dtype, shape, scales, said) in [
        (Dtype::F32, vec![], vec![], "tensor `a` has 8-bit values, but their scales `a.scale` are missing"),
        (
            Dtype::F32,
            vec![3],
            floats(&[1.0; 3]),
            "tensor `a.scale` has dtype F32 and shape [3], but must be one",
        ),
        (Dtype::F32, vec![2, 1], floats(&[1.0; 2]), "shape [2, 1]"),
        (Dtype::I32, vec![2], floats(&[1.0; 2]), "dtype I32"),
        (
            Dtype::F32,
            vec![2],
            floats(&[1.0, f32::INFINITY]),
            "tensor `a.scale` contains a non-finite value at index 1",
        ),
    ] {
        let mut tensors = vec![("a", TensorView::new(Dtype::I8, vec![2, 3], &values).unwrap())];
        if !scales.is_empty() {
            tensors.push(("a.scale", TensorView::new(dtype, shape, &scales).unwrap()));
        }
        let error =
            Checkpoint::read(&safetensors::serialize(tensors, None).unwrap()).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn the_fingerprint_of_a_network_with_an_empty_tensor_is_that_of_its_values() {
    let mut model = ModelFiles::read(original().path()).unwrap();
    let bytes = model.embedding.bytes.to_vec();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let empty = [
        ("empty", TensorView::new(Dtype::I8, vec![0, 5], &[]).unwrap()),
        ("empty.scale", TensorView::new(Dtype::F32, vec![0], &[]).unwrap()),
    ];
    model.embedding.bytes = safetensors::serialize(stored.iter().chain(empty), None).unwrap().into();
    model.embedding_fingerprint().unwrap();
}
