//! Networks that are to be combined or replaced, and single networks that must not be written.

use std::fs;

use diarize_convert::{ConvertOptions, Converted, Error, Precision, Result, convert, load};

use crate::support::{checkpoint, golden, no_hub, one_tensor};

fn network(segmentation: Option<&str>, embedding: Option<&str>) -> Result<Converted> {
    let options = ConvertOptions {
        segmentation: segmentation.map(str::to_owned),
        embedding: embedding.map(str::to_owned),
        ..ConvertOptions::default()
    };
    convert(golden("small.ckpt").to_str().unwrap(), &options, &mut no_hub)
}

#[test]
fn networks_that_a_single_one_cannot_replace_are_not_ignored() {
    let other = golden("small.ckpt");
    let other = other.to_str().unwrap();
    for (segmentation, embedding) in [(Some(other), Some(other)), (Some(other), None)] {
        let error = network(segmentation, embedding).unwrap_err();
        assert!(matches!(error, Error::NothingToReplace { .. }), "{error}");
        assert!(error.to_string().contains("small.ckpt is only"), "{error}");
    }
}

#[test]
fn a_model_of_the_list_is_not_called_unknown() {
    let error = network(None, Some("community-1")).unwrap_err();
    assert!(matches!(error, Error::NotANetwork { .. }), "{error}");
    assert!(error.to_string().contains("community-1 is a whole model"), "{error}");
}

#[test]
fn a_network_is_not_written_over_a_model_nor_with_values_that_are_not_finite() {
    let Converted::Network(mut network) = network(None, None).unwrap() else { panic!("not a network") };
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("manifest.toml");
    fs::write(&manifest, "").unwrap();
    let written = Converted::Network(network.clone()).write(dir.path(), Precision::F32);
    assert!(matches!(written, Err(Error::ModelThere { .. })), "{written:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    fs::remove_file(manifest).unwrap();
    Converted::Network(network.clone()).write(dir.path(), Precision::F32).unwrap();

    let empty = tempfile::tempdir().unwrap();
    let tensor = network.tensors.get_mut("classifier.bias").unwrap();
    tensor.bytes[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let error = Converted::Network(network).write(empty.path(), Precision::F32).unwrap_err();
    assert!(
        error.to_string().contains("`classifier.bias` contains a non-finite value at index 0"),
        "{error}"
    );
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn the_checkpoint_of_a_folder_is_found_or_named() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().to_str().unwrap();
    fs::write(dir.path().join("a.ckpt"), checkpoint(&one_tensor(8, 0, &[8], &[1]))).unwrap();
    fs::write(dir.path().join("notes.txt"), "").unwrap();
    let error = load(folder, &mut no_hub).unwrap_err().to_string();
    assert!(error.contains("a.ckpt: the network is of a class that the file does not name"), "{error}");
    fs::copy(golden("small.ckpt"), dir.path().join("b.ckpt")).unwrap();
    let error = load(folder, &mut no_hub).unwrap_err();
    assert!(matches!(error, Error::SeveralCheckpoints { .. }), "{error}");

    let dir = tempfile::tempdir().unwrap();
    fs::copy(golden("onnx/segmentation.int8.onnx"), dir.path().join("model.int8.onnx")).unwrap();
    let error = load(dir.path().to_str().unwrap(), &mut no_hub).unwrap_err();
    assert!(error.to_string().contains("is only a segmentation network"), "{error}");
}
