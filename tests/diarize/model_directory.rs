//! Invalid model directories give errors that name the file and, if a tensor is wrong, the tensor.

use std::{fs, path::Path};

use diarize::{
    Decoding, Device, Diarizer, Error, TensorProblem,
    model::{Hysteresis, MANIFEST, Manifest},
};
use diarize_testkit::{deterministic_model, wav};
use half::f16;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tempfile::TempDir;

/// A valid model directory, modified by `change`.
fn model(change: impl FnOnce(&Path)) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    deterministic_model::write(dir.path(), 5).unwrap();
    change(dir.path());
    dir
}

fn load(dir: &TempDir) -> Result<Diarizer, Error> {
    Diarizer::load(dir.path(), Device::Cpu)
}

/// A tensor to be written to a file.
struct Stored {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Rewrites a weights file with some tensors changed. If `change` returns `None`, the tensor is removed.
fn rewrite(path: &Path, change: impl Fn(Stored) -> Option<Stored>) {
    let bytes = fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let stored = tensors.iter().map(|(name, view)| Stored {
        name: name.to_owned(),
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        bytes: view.data().to_vec(),
    });
    let stored: Vec<Stored> = stored.filter_map(change).collect();
    let views = stored.iter().map(|tensor| {
        (&tensor.name, TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// The error for a model in whose segmentation weights one tensor is changed.
fn error_with(name: &str, change: impl Fn(Stored) -> Option<Stored>) -> (String, TensorProblem) {
    let dir = model(|dir| {
        rewrite(&dir.join("segmentation.safetensors"), |tensor| {
            if tensor.name == name { change(tensor) } else { Some(tensor) }
        });
    });
    match load(&dir).unwrap_err() {
        Error::Tensor { path, tensor, problem } => {
            assert!(path.ends_with("segmentation.safetensors"), "{}", path.display());
            (tensor, problem)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_missing_tensor_is_named() {
    let (tensor, problem) = error_with("lstm.weight_hh_l2_reverse", |_| None);
    assert_eq!((tensor.as_str(), problem), ("lstm.weight_hh_l2_reverse", TensorProblem::Missing));
}

#[test]
fn a_tensor_with_the_wrong_shape_is_named_with_both_shapes() {
    let (tensor, problem) =
        error_with("classifier.weight", |tensor| Some(Stored { shape: vec![128, 7], ..tensor }));
    let expected = TensorProblem::Shape { expected: vec![7, 128], found: vec![128, 7] };
    assert_eq!((tensor.as_str(), problem), ("classifier.weight", expected));
}

#[test]
fn a_tensor_with_an_unsupported_dtype_is_named() {
    let (tensor, problem) =
        error_with("classifier.bias", |tensor| Some(Stored { dtype: Dtype::I32, ..tensor }));
    assert_eq!((tensor.as_str(), problem), ("classifier.bias", TensorProblem::Dtype { found: "I32".into() }));
}

#[test]
fn a_non_finite_weight_is_named_with_its_index() {
    let (tensor, problem) = error_with("linear.1.weight", |mut tensor| {
        tensor.bytes[4 * 77..4 * 78].copy_from_slice(&f32::INFINITY.to_le_bytes());
        Some(tensor)
    });
    assert_eq!((tensor.as_str(), problem), ("linear.1.weight", TensorProblem::NonFinite { index: 77 }));
}

#[test]
fn half_precision_weights_are_read() {
    let rounded = |dtype| {
        model(|dir| {
            for file in ["segmentation.safetensors", "embedding.safetensors"] {
                rewrite(&dir.join(file), |tensor| {
                    let values = tensor.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
                    let values = values.map(f16::from_f32);
                    let bytes = match dtype {
                        Dtype::F16 => values.flat_map(f16::to_le_bytes).collect(),
                        _ => values.flat_map(|value| value.to_f32().to_le_bytes()).collect(),
                    };
                    Some(Stored { dtype, bytes, ..tensor })
                });
            }
        })
    };
    let samples = wav::golden("tiny8");
    let [half, single] =
        [Dtype::F16, Dtype::F32].map(|dtype| load(&rounded(dtype)).unwrap().diarize(&samples).unwrap());
    assert!(!half.turns.is_empty());
    assert_eq!(half, single);
}

#[test]
fn a_truncated_weights_file_is_named() {
    let dir = model(|dir| {
        let path = dir.join("embedding.safetensors");
        let bytes = fs::read(&path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 1000]).unwrap();
    });
    let error = load(&dir).unwrap_err();
    assert!(
        matches!(&error, Error::WeightsFile { path, .. } if path.ends_with("embedding.safetensors")),
        "{error}"
    );
}

#[test]
fn a_missing_file_is_named() {
    for file in [MANIFEST, "segmentation.safetensors", "embedding.safetensors"] {
        let error = load(&model(|dir| fs::remove_file(dir.join(file)).unwrap())).unwrap_err();
        assert!(matches!(&error, Error::ReadFile { path, .. } if path.ends_with(file)), "{error}");
    }
}

#[test]
fn an_invalid_manifest_is_reported_with_the_key() {
    for (from, to, said) in [
        ("format = 1", "format = 2", "format"),
        ("speakers = 3", "speakers = 0", "0"),
        ("speakers = 3", "speakers = 300", "speakers"),
        ("duration = 10.0", "duration = -1.0", "duration"),
        ("duration = 10.0", "duration = 1e9", "at most 3600 s"),
        ("duration = 10.0", "duration = 0.05", "longer chunks"),
        ("hidden_size = 128", "hidden_size = \"many\"", "hidden_size"),
        ("dimension = 256", "dimension = 256\nwidth = 3", "width"),
        ("threshold = 0.075", "threshold = nan", "threshold"),
        ("name = ", "name ", "name"),
    ] {
        let dir = model(|dir| {
            let path = dir.join(MANIFEST);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from), "{from} is not in\n{text}");
            fs::write(path, text.replacen(from, to, 1)).unwrap();
        });
        let error = load(&dir).unwrap_err();
        assert!(matches!(error, Error::Manifest { .. }), "{from} to {to}: {error:?}");
        let text = error.to_string();
        assert!(text.contains(MANIFEST) && text.contains(said), "{from} to {to}: {text}");
    }
}

#[test]
fn a_network_without_a_powerset_supports_only_argmax() {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = Manifest::pyannote_3_1("a model", "MIT", "a test");
    manifest.segmentation.multilabel = Some(Hysteresis { onset: 0.5, offset: 0.5 });
    manifest.parameters.decoding = Decoding::LeastError;
    fs::write(dir.path().join(MANIFEST), manifest.to_toml()).unwrap();
    deterministic_model::fill(dir.path(), 5).unwrap();
    let diarizer = load(&dir).unwrap();
    assert_eq!(diarizer.model(), &manifest, "the manifest is read back unchanged");

    let error = diarizer.diarize(&[0.0; 16_000]).unwrap_err().to_string();
    assert!(error.starts_with("decoding is least_error, but must be argmax"), "{error}");
    let mut options = diarizer.options();
    options.parameters.decoding = Decoding::Argmax;
    assert!(diarizer.listen(&options).is_ok());
}

#[test]
fn a_manifest_that_is_not_text_is_named() {
    let error = load(&model(|dir| fs::write(dir.join(MANIFEST), [0xff, 0xfe, 0]).unwrap())).unwrap_err();
    assert!(matches!(error, Error::Manifest { .. }), "{error}");
}
