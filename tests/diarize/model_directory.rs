//! Invalid model directories give errors that name the file and, if a tensor is wrong, the tensor.

use std::{fs, path::Path};

use diarize::{
    Decoding, Device, Diarizer, Error, TensorProblem,
    model::{Hysteresis, MANIFEST, Manifest, ModelFiles},
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

/// Rewrites a weights file with each tensor replaced by those that `change` returns.
fn rewrite<T: IntoIterator<Item = Stored>>(path: &Path, change: impl Fn(Stored) -> T) {
    let bytes = fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let stored = tensors.iter().map(|(name, view)| Stored {
        name: name.to_owned(),
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        bytes: view.data().to_vec(),
    });
    let stored: Vec<Stored> = stored.flat_map(change).collect();
    let views = stored.iter().map(|tensor| {
        (&tensor.name, TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).unwrap())
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// The error for a model in whose segmentation weights one tensor is changed.
fn error_with<T: IntoIterator<Item = Stored>>(
    name: &str,
    change: impl Fn(Stored) -> T,
) -> (String, TensorProblem) {
    let dir = model(|dir| {
        rewrite(&dir.join("segmentation.safetensors"), |tensor| -> Vec<Stored> {
            if tensor.name == name { change(tensor).into_iter().collect() } else { vec![tensor] }
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
    let (tensor, problem) = error_with("lstm.weight_hh_l2_reverse", |_| []);
    assert_eq!((tensor.as_str(), problem), ("lstm.weight_hh_l2_reverse", TensorProblem::Missing));
}

#[test]
fn of_several_missing_tensors_the_first_one_is_named_in_every_run() {
    for (file, prefix, first) in [
        ("segmentation.safetensors", "lstm.", "lstm.weight_ih_l0"),
        ("embedding.safetensors", "resnet.layer", "resnet.layer1.0.bn1.weight"),
    ] {
        let dir = model(|dir| {
            rewrite(&dir.join(file), |tensor| Some(tensor).filter(|tensor| !tensor.name.starts_with(prefix)));
        });
        for _ in 0..4 {
            match load(&dir).unwrap_err() {
                Error::Tensor { tensor, .. } => assert_eq!(tensor, first),
                other => panic!("{other}"),
            }
        }
    }
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

/// A tensor in 8 bits, and its scales.
fn in_8_bits(tensor: Stored) -> [Stored; 2] {
    let values: Vec<f32> =
        tensor.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let channels = tensor.shape[0];
    let mut bytes = Vec::new();
    let mut scales = Vec::new();
    for channel in values.chunks(values.len() / channels) {
        let scale = channel.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs())) / 127.0;
        bytes.extend(channel.iter().map(|value| ((value / scale).round() as i8).cast_unsigned()));
        scales.extend(scale.to_le_bytes());
    }
    let name = format!("{}.scale", tensor.name);
    [
        Stored { dtype: Dtype::I8, bytes, ..tensor },
        Stored { name, dtype: Dtype::F32, shape: vec![channels], bytes: scales },
    ]
}

/// The f32 values of a tensor in 8 bits.
fn expanded([tensor, scales]: [Stored; 2]) -> Stored {
    let scales = scales.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
    let channels = tensor.bytes.chunks(tensor.bytes.len() / tensor.shape[0]);
    let values = channels.zip(scales).flat_map(|(channel, scale)| {
        channel.iter().map(move |&value| f32::from(value.cast_signed()) * scale)
    });
    Stored { dtype: Dtype::F32, bytes: values.flat_map(f32::to_le_bytes).collect(), ..tensor }
}

#[test]
fn eight_bit_weights_are_read_like_the_same_values_in_f32() {
    let with_matrices = |stored: &dyn Fn(Stored) -> Vec<Stored>| {
        model(|dir| {
            for file in ["segmentation.safetensors", "embedding.safetensors"] {
                rewrite(&dir.join(file), |tensor| {
                    let is_matrix = tensor.shape.len() > 1 && !tensor.name.contains("filterbank");
                    if is_matrix { stored(tensor) } else { vec![tensor] }
                });
            }
        })
    };
    let eight_bits = with_matrices(&|tensor| in_8_bits(tensor).into());
    let single = with_matrices(&|tensor| vec![expanded(in_8_bits(tensor))]);
    let size = |dir: &TempDir| fs::metadata(dir.path().join("embedding.safetensors")).unwrap().len();
    assert!(3 * size(&eight_bits) < size(&single));

    let samples = wav::golden("tiny8");
    let [found, expected] = [&eight_bits, &single].map(|dir| load(dir).unwrap().diarize(&samples).unwrap());
    assert!(!expected.turns.is_empty());
    assert_eq!(found, expected);
    let [found, expected] = [&eight_bits, &single]
        .map(|dir| ModelFiles::read(dir.path()).unwrap().embedding_fingerprint().unwrap());
    assert_eq!(found, expected);
}

#[test]
fn damaged_8_bit_weights_are_named() {
    let name = "linear.0.weight";
    let scales = || format!("{name}.scale");
    let damaged = |damage: &dyn Fn(&mut [Stored; 2])| {
        error_with(name, |tensor| {
            let mut stored = in_8_bits(tensor);
            damage(&mut stored);
            stored
        })
    };
    let error = error_with(name, |tensor| {
        Some(Stored { dtype: Dtype::I8, bytes: vec![1; tensor.bytes.len() / 4], ..tensor })
    });
    assert_eq!(error, (name.into(), TensorProblem::NoScales { scales: scales() }));
    let error = damaged(&|[_, scales]| {
        scales.shape[0] -= 1;
        scales.bytes.truncate(4 * scales.shape[0]);
    });
    let problem = TensorProblem::Shape { expected: vec![128], found: vec![127] };
    assert_eq!(error, (scales(), problem));
    let error = damaged(&|[_, scales]| scales.bytes[4 * 5..4 * 6].copy_from_slice(&f32::NAN.to_le_bytes()));
    assert_eq!(error, (scales(), TensorProblem::NonFinite { index: 5 }));
    let error = damaged(&|[_, scales]| scales.dtype = Dtype::I32);
    assert_eq!(error, (scales(), TensorProblem::Dtype { found: "I32".into() }));
    let (tensor, problem) =
        damaged(&|[_, scales]| scales.bytes[..4].copy_from_slice(&f32::MAX.to_le_bytes()));
    assert!(tensor == name && matches!(problem, TensorProblem::NonFinite { .. }), "{problem:?}");
    let (tensor, problem) = error_with("classifier.bias", in_8_bits);
    assert_eq!((tensor.as_str(), problem), ("classifier.bias", TensorProblem::Dtype { found: "I8".into() }));
}

/// PyTorch counts the batches of each batch norm.
#[test]
fn counters_do_not_belong_to_the_fingerprint() {
    let counter = || Stored {
        name: "resnet.bn1.num_batches_tracked".into(),
        dtype: Dtype::I64,
        shape: vec![],
        bytes: vec![1; 8],
    };
    let counted = model(|dir| {
        rewrite(&dir.join("embedding.safetensors"), |tensor| {
            let counter = (tensor.name == "resnet.bn1.weight").then(counter);
            [tensor].into_iter().chain(counter)
        });
    });
    let [found, expected] = [counted, model(|_| {})]
        .map(|dir| ModelFiles::read(dir.path()).unwrap().embedding_fingerprint().unwrap());
    assert_eq!(found, expected);
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
