//! Malformed files give errors that name the file and the reason.

use std::fs;

use diarize_convert::{ConvertOptions, convert};
use zip::CompressionMethod;

use crate::support::{
    Pickle, archive, archive_with, checkpoint, legacy, legacy_storage, no_hub, npy, one_tensor,
};

const NPY: &str = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }";

fn tensor(length: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    checkpoint(&one_tensor(length, offset, shape, strides))
}

fn pickled(opcodes: &[u8]) -> Vec<u8> {
    checkpoint(&Pickle::new().raw(opcodes).done())
}

fn config(pipeline: &str, params: &str) -> Vec<u8> {
    format!("pipeline:\n  name: a.SpeakerDiarization\n  params: {pipeline}\nparams: {params}\n").into_bytes()
}

/// An archive whose second central directory entry points to the bytes of the first.
fn overlapping() -> Vec<u8> {
    let mut bytes = archive(&[("a.npy", &npy(NPY, &[0; 8])), ("b.npy", &npy(NPY, &[0; 8]))]);
    let central = b"PK\x01\x02";
    let last = (0..bytes.len()).rev().find(|&at| bytes[at..].starts_with(central)).unwrap();
    bytes[last + 42..last + 46].fill(0);
    bytes
}

fn corrupt() -> Vec<u8> {
    let mut bytes = tensor(8, 0, &[1], &[1]);
    let at = bytes.windows(6).position(|window| window == b"little").unwrap() - 60;
    bytes[at] ^= 1;
    bytes
}

/// File name, content and a part of the expected reason.
fn corpus() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let whole = tensor(8, 0, &[1], &[1]);
    let old = legacy(&one_tensor(3, 0, &[3], &[1]), &["0"], &legacy_storage(&[0.0; 3]));
    let zeros = vec![0; 50 << 20];
    let many: Vec<String> = (0..65_537).map(|index| index.to_string()).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &[][..])).collect();
    let deep = [vec![b'('; 1_001], vec![b't'; 1_001]].concat();
    vec![
        ("empty.bin", vec![], "unknown format"),
        ("text.bin", b"404 Not Found".to_vec(), "unknown format"),
        ("lfs-pointer.bin", b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "a Git LFS pointer"),
        ("page.bin", b"<HTML>Log in".to_vec(), "a web page"),
        ("truncated.bin", whole[..whole.len() / 2].to_vec(), "not a valid zip archive"),
        ("checksum.bin", corrupt(), "cannot be unpacked"),
        ("overlapping.npz", overlapping(), "entries overlap"),
        ("bomb.npz", archive_with(&[("a.npy", &zeros)], CompressionMethod::Deflated), "exceeds the limit"),
        ("many.npz", archive(&many), "65537 entries"),
        ("no-pickle.bin", archive(&[("a/data/0", &[0])]), "unknown format"),
        ("script.bin", archive(&[("a/data.pkl", b"."), ("a/constants.pkl", b".")]), "TorchScript"),
        ("big-endian.bin", archive(&[("a/data.pkl", b"."), ("a/byteorder", b"big")]), "big-endian"),
        ("no-storage.bin", archive(&[("a/data.pkl", &one_tensor(8, 0, &[1], &[1]))]), "no entry `a/data/0`"),
        ("short-storage.bin", tensor(9, 0, &[9], &[1]), "32 bytes instead of 36"),
        ("negative-stride.bin", tensor(8, 7, &[2], &[-1]), "stride -1"),
        ("negative-offset.bin", tensor(8, -1, &[2], &[1]), "offset"),
        ("negative-shape.bin", tensor(8, 0, &[-2], &[1]), "shape"),
        ("out-of-range.bin", tensor(8, 6, &[3], &[1]), "reaches value 8 of a storage of 8"),
        ("stride-out-of-range.bin", tensor(8, 0, &[2, 2], &[7, 1]), "reaches value 8 of a storage of 8"),
        ("overflow.bin", tensor(8, 0, &[1 << 40, 1 << 40], &[1, 1]), "overflows"),
        ("stride-overflow.bin", tensor(8, 0, &[2, 2], &[i64::MAX, i64::MAX]), "reaches value"),
        ("offset-overflow.bin", tensor(8, i64::MAX, &[2, 2, 2], &[i64::MAX, i64::MAX, 1]), "overflows"),
        ("expanded.bin", tensor(8, 0, &[1 << 30], &[0]), "but its storage has only 8"),
        ("ranks.bin", tensor(8, 0, &[2, 2], &[1]), "numbers of strides and dimensions differ"),
        (
            "dtype.bin",
            checkpoint(
                &Pickle::new()
                    .raw(b"}")
                    .text("w")
                    .tensor_of("ComplexFloatStorage", "0", 8, 0, &[1], &[1])
                    .raw(b"s")
                    .done(),
            ),
            "dtype ComplexFloatStorage",
        ),
        (
            "not-a-storage.bin",
            checkpoint(
                &Pickle::new()
                    .raw(b"}")
                    .text("w")
                    .global("torch._utils", "_rebuild_tensor_v2")
                    .raw(b"(NK\x00))tRs")
                    .done(),
            ),
            "the storage is missing",
        ),
        ("no-tensors.bin", pickled(b"}"), "no state dict"),
        ("unfinished-pickle.bin", checkpoint(b"\x80\x02}"), "the pickle is truncated"),
        ("opcode.bin", pickled(b"\xff"), "unknown opcode 0xff at byte 2"),
        ("extension.bin", pickled(b"\x82\x01"), "unknown opcode 0x82"),
        ("protocol.bin", checkpoint(b"\x80\x09}."), "unknown protocol 9"),
        ("empty-stack.bin", pickled(b"0"), "the stack is empty"),
        ("below-mark.bin", pickled(b"N(0"), "the stack is empty"),
        ("no-mark.bin", pickled(b"t"), "there is no mark"),
        ("memo.bin", pickled(b"h\x07"), "memo entry 7 does not exist"),
        ("literal.bin", pickled(b"Iseven\n"), "malformed literal"),
        ("odd-dictionary.bin", pickled(b"(Nd"), "a key has no value"),
        ("append-to-number.bin", pickled(b"K\x01Na"), "added to a value that is not a list"),
        ("insert-into-list.bin", pickled(b"]NNs"), "added to a value that is not a dictionary"),
        ("call-without-tuple.bin", pickled(b"cos\nsystem\nNR"), "not a tuple"),
        ("state-of-number.bin", pickled(b"K\x01}b"), "not an object"),
        ("class-without-name.bin", pickled(b"NN\x93"), "the name of a class is not a string"),
        ("long-string.bin", pickled(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff"), "the pickle is truncated"),
        ("deep.bin", pickled(&deep), "more than 1000 levels of nesting"),
        ("old-truncated.bin", old[..old.len() - 1].to_vec(), "within the values of storage `0`"),
        ("old-magic.bin", Pickle::new().raw(b"N").done(), "not a file written by torch.save"),
        (
            "old-length.bin",
            legacy(&one_tensor(3, 0, &[3], &[1]), &["0"], &[0xff; 8]),
            "values of storage `0`",
        ),
        (
            "safetensors.safetensors",
            [&100_u64.to_le_bytes()[..], b"{}"].concat(),
            "not a valid safetensors file",
        ),
        ("huge-header.safetensors", [&(1_u64 << 60).to_le_bytes()[..], b"{}"].concat(), "unknown format"),
        ("magic.npz", archive(&[("a.npy", b"NUMPY")]), "array `a` is not a valid npy array"),
        ("version.npz", archive(&[("a.npy", b"\x93NUMPY\x09\x00\x00\x00")]), "unknown version 9"),
        ("header.npz", archive(&[("a.npy", &npy("{'descr': '<f8'}", &[]))]), "malformed header"),
        (
            "objects.npz",
            archive(&[("a.npy", &npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", &[]))]),
            "Python objects",
        ),
        ("length.npz", archive(&[("a.npy", &npy(NPY, &[0; 7]))]), "7 bytes of values, but its shape needs 8"),
        (
            "shape.npz",
            archive(&[(
                "a.npy",
                &npy("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", &[]),
            )]),
            "overflows",
        ),
        ("not-yaml.yaml", b"pipeline: [".to_vec(), "not-yaml.yaml"),
        (
            "other-pipeline.yaml",
            b"pipeline: {name: a.VoiceActivityDetection}".to_vec(),
            "only SpeakerDiarization",
        ),
        (
            "no-segmentation.yaml",
            config("{embedding: a/b}", "{clustering: {threshold: 1, min_cluster_size: 1}}"),
            "segmentation is missing",
        ),
        (
            "no-threshold.yaml",
            config("{segmentation: a/b, embedding: a/b}", "{}"),
            "params.clustering.threshold is missing",
        ),
        (
            "linkage.yaml",
            config(
                "{segmentation: a/b, embedding: a/b}",
                "{clustering: {method: nearest, threshold: 1, min_cluster_size: 1}}",
            ),
            "method is nearest: there is no such linkage",
        ),
        ("clustering.yaml", config("{clustering: KMeansClustering}", "{}"), "KMeansClustering"),
        ("unknown-key.yaml", config("{segmentation_stride: 5}", "{}"), "segmentation_stride"),
        (
            "no-model.yaml",
            config(
                "{segmentation: nowhere.bin, embedding: a/b}",
                "{clustering: {threshold: 1, min_cluster_size: 1}}",
            ),
            "segmentation is nowhere.bin",
        ),
        (
            "speechbrain.yaml",
            config(
                "{segmentation: $model/s, embedding: speechbrain/ecapa}",
                "{clustering: {threshold: 1, min_cluster_size: 1}}",
            ),
            "only networks of pyannote and WeSpeaker",
        ),
        ("bomb.yaml", yaml_bomb(), "bomb.yaml"),
    ]
}

fn yaml_bomb() -> Vec<u8> {
    let mut text = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (previous, name) in "abcdefghi".chars().zip("bcdefghij".chars()) {
        let aliases = vec![format!("*{previous}"); 9].join(", ");
        text.push_str(&format!("{name}: &{name} [{aliases}]\n"));
    }
    text.into_bytes()
}

#[test]
fn errors_name_the_file_and_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = corpus();
    assert!(corpus.len() >= 30);
    for (name, bytes, reason) in corpus {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        let outcome = convert(path.to_str().unwrap(), &ConvertOptions::default(), &mut no_hub);
        let Err(error) = outcome else { panic!("{name} was converted") };
        let message = error.to_string();
        assert!(message.contains(name) && message.contains(reason), "{name}, {reason:?}: {message}");
        assert!(message.len() < 2_000, "{name}: {message}");
    }
}

#[test]
fn errors_name_missing_inputs() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().to_str().unwrap().to_owned();
    for (input, reason) in [
        ("no/such/file", "no such file or directory"),
        (&empty, "none of manifest.toml, the config.yaml of a pipeline"),
    ] {
        let message = convert(input, &ConvertOptions::default(), &mut no_hub).unwrap_err().to_string();
        assert!(message.contains(input) && message.contains(reason), "{message}");
    }
}
