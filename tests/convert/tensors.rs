//! Compares every tensor of every file with hashes from PyTorch and NumPy (`make_tensors.py`), and tests layouts that
//! do not occur in these files.

use std::{collections::BTreeMap, fs, path::Path};

use diarize_convert::{Checkpoint, ConvertOptions, Converted, Kind, Precision, Tensor, convert};
use diarize_testkit::shared;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use sha2::{Digest, Sha256};
use zip::CompressionMethod;

use crate::support::{
    Pickle, archive, archive_with, checkpoint, golden, legacy, legacy_storage, no_hub, npy, one_tensor,
};

/// The dtype, shape and hash of each tensor in a file.
type Tensors = BTreeMap<String, Value>;
type Listed = BTreeMap<String, Tensors>;

/// The only listed file that is in this repository.
const SMALL: &str = "small.ckpt";

fn listed() -> Listed {
    serde_json::from_slice(&fs::read(golden("tensors.json")).unwrap()).unwrap()
}

fn described(dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Value {
    let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    serde_json::json!({ "dtype": format!("{dtype:?}"), "shape": shape, "sha256": sha256 })
}

/// Checks every tensor read from a file.
fn check_reading(path: &Path, tensors: &Tensors) {
    let read = Checkpoint::read(&fs::read(path).unwrap()).unwrap().tensors;
    let found: Tensors = read
        .iter()
        .map(|(name, Tensor { dtype, shape, bytes })| (name.clone(), described(*dtype, shape, bytes)))
        .collect();
    assert!(!found.is_empty());
    assert_eq!(&found, tensors, "{}", path.display());
}

/// Checks every tensor written after converting a file on its own, as f32.
fn check_writing(path: &Path, tensors: &Tensors) {
    let converted = convert(path.to_str().unwrap(), &ConvertOptions::default(), &mut no_hub).unwrap();
    let dir = tempfile::tempdir().unwrap();
    converted.write(dir.path(), Precision::F32).unwrap();
    let Converted::Network(network) = converted else { panic!("{} is not a pipeline", path.display()) };
    let bytes = fs::read(dir.path().join(network.weights())).unwrap();
    let found: Tensors = SafeTensors::deserialize(&bytes)
        .unwrap()
        .iter()
        .map(|(name, view)| (name.to_owned(), described(view.dtype(), view.shape(), view.data())))
        .collect();
    // Only the layers of an LSTM in several modules have other names.
    let expected: Tensors = tensors
        .iter()
        .map(|(name, tensor)| {
            let name = match name.strip_prefix("lstm.").and_then(|rest| rest.split_once('.')) {
                Some((layer, rest)) => format!("lstm.{}", rest.replace("_l0", &format!("_l{layer}"))),
                None => name.clone(),
            };
            (name, tensor.clone())
        })
        .collect();
    assert_eq!(found, expected, "{}", path.display());
}

#[test]
fn every_tensor_of_a_small_file_is_the_original_bit_for_bit() {
    check_reading(&golden(SMALL), &listed()[SMALL]);
    check_writing(&golden(SMALL), &listed()[SMALL]);
}

mod needs_shared {
    use super::*;

    #[test]
    #[ignore = "needs the folder `shared` next to the checkout"]
    fn every_tensor_of_real_files_is_the_original_bit_for_bit() {
        let files: Vec<(String, Tensors)> = listed().into_iter().filter(|(name, _)| name != SMALL).collect();
        assert!(files.iter().map(|(_, tensors)| tensors.len()).sum::<usize>() >= 40);
        for (name, tensors) in files {
            check_reading(&shared(&name), &tensors);
            check_writing(&shared(&name), &tensors);
        }
    }
}

#[test]
fn metadata_of_a_checkpoint_is_kept() {
    let converted =
        convert(golden("small.ckpt").to_str().unwrap(), &ConvertOptions::default(), &mut no_hub).unwrap();
    let Converted::Network(network) = converted else { panic!("not a single network") };
    let Kind::Segmentation(architecture) = &network.kind else { panic!("{:?}", network.kind) };
    assert_eq!(architecture.sincnet_stride, 5);
    assert_eq!(architecture.speakers, 3);
    assert_eq!(architecture.duration, 5.0);
    assert!(architecture.multilabel.is_some());
    assert_eq!((architecture.lstm.hidden_size, architecture.lstm.num_layers), (12, 2));
    assert!(architecture.lstm.bidirectional);
    assert_eq!((architecture.linear.hidden_size, architecture.linear.num_layers), (16, 1));
    assert_eq!(network.about.class.as_deref(), Some("pyannote.audio.models.segmentation.PyanNet.PyanNet"));
    assert_eq!(network.about.pyannote_audio.as_deref(), Some("3.3.2"));
    assert_eq!(network.about.hyper_parameters["lstm.monolithic"], false.into());
    assert_eq!(
        network.about.specifications.as_ref().unwrap().classes,
        ["speaker#1", "speaker#2", "speaker#3"]
    );
}

fn f32s(tensor: &Tensor) -> Vec<f32> {
    tensor.to_f32().unwrap()
}

fn read_one(shape: &[i64], strides: &[i64], offset: i64) -> Vec<f32> {
    let bytes = checkpoint(&one_tensor(8, offset, shape, strides));
    f32s(&Checkpoint::read(&bytes).unwrap().tensors["w"])
}

#[test]
fn all_strides_are_supported() {
    assert_eq!(read_one(&[2, 3], &[3, 1], 1), [1., 2., 3., 4., 5., 6.]);
    assert_eq!(read_one(&[3, 2], &[1, 3], 0), [0., 3., 1., 4., 2., 5.]);
    assert_eq!(read_one(&[2, 2, 2], &[1, 4, 2], 0), [0., 2., 4., 6., 1., 3., 5., 7.]);
    assert_eq!(read_one(&[2, 1, 2], &[4, 99, 1], 0), [0., 1., 4., 5.]);
    assert_eq!(read_one(&[3], &[2], 2), [2., 4., 6.]);
    assert_eq!(read_one(&[4], &[0], 3), [3., 3., 3., 3.]);
    assert_eq!(read_one(&[], &[], 5), [5.]);
    assert_eq!(read_one(&[2, 0], &[1, 1], 0), [0.; 0]);
}

#[test]
fn all_floating_point_types_are_supported() {
    let bytes = 0x3ff8_4000_3fc0_3e00_u64.to_le_bytes();
    for (class, length, expected) in [
        ("HalfStorage", 4, vec![1.5, 1.9375, 2.0, 1.9922]),
        ("BFloat16Storage", 4, vec![0.125, 1.5, 2.0, 1.9375]),
        ("DoubleStorage", 1, vec![1.515_64]),
    ] {
        let pickle = Pickle::new()
            .raw(b"}")
            .text("w")
            .tensor_of(class, "0", length, 0, &[length], &[1])
            .raw(b"s")
            .done();
        let read = Checkpoint::read(&archive(&[("data.pkl", &pickle), ("data/0", &bytes)])).unwrap();
        let found = f32s(&read.tensors["w"]);
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-3), "{class}: {found:?}");
    }
}

#[test]
fn the_legacy_format_is_supported() {
    let bytes = legacy(&one_tensor(3, 0, &[3], &[1]), &["0"], &legacy_storage(&[1.0, -2.0, 0.5]));
    assert_eq!(f32s(&Checkpoint::read(&bytes).unwrap().tensors["w"]), [1.0, -2.0, 0.5]);
}

#[test]
fn state_dicts_under_usual_names_are_found_and_parameters_unwrapped() {
    for name in ["state_dict", "model", "model_state_dict"] {
        let tensor = |pickle: Pickle| {
            pickle
                .global("torch._utils", "_rebuild_parameter")
                .raw(b"(")
                .tensor("0", 8, 0, &[2], &[1])
                .raw(b"\x88NtR")
        };
        let pickle = tensor(Pickle::new().raw(b"}").text(name).raw(b"}").text("w")).raw(b"ss").done();
        assert_eq!(f32s(&Checkpoint::read(&checkpoint(&pickle)).unwrap().tensors["w"]), [0.0, 1.0], "{name}");
    }
}

#[test]
fn arrays_in_either_order_and_compression_are_supported() {
    let values: Vec<u8> = (0..6).flat_map(|value| f64::from(value).to_le_bytes()).collect();
    let c = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }", &values);
    let fortran = npy("{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }", &values);
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let read = Checkpoint::read(&archive_with(&[("c.npy", &c), ("f.npy", &fortran)], method)).unwrap();
        assert_eq!(f32s(&read.tensors["c"]), [0., 1., 2., 3., 4., 5.]);
        assert_eq!(f32s(&read.tensors["f"]), [0., 2., 4., 1., 3., 5.]);
    }
}

/// A pickle that runs a command when loaded by Python is only data here.
#[test]
fn pickles_never_run_code() {
    let dir = tempfile::tempdir().unwrap();
    let witness = dir.path().join("called");
    let command = format!("touch {}", witness.display());
    let pickle = Pickle::new()
        .raw(b"}")
        .text("x")
        .global("os", "system")
        .raw(b"(")
        .text(&command)
        .raw(b"tRs")
        .text("w")
        .tensor("0", 8, 0, &[1], &[1])
        .raw(b"s")
        .done();
    let (read, _) = diarize_convert::pickle::Pickle::read(&pickle).unwrap();
    let opaque = read.root().get("x").unwrap();
    assert_eq!(opaque.class(), Some(("os", "system")));
    assert_eq!(opaque.arguments().next().unwrap().text(), Some(command.as_str()));
    assert_eq!(Checkpoint::read(&checkpoint(&pickle)).unwrap().tensors.len(), 1);
    assert!(!witness.exists());
}
