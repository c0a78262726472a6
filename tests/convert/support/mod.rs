//! Builders for small test files: pickles from opcodes and archives from entries.

use std::{
    io::{Cursor, Write},
    path::PathBuf,
};

use diarize_testkit::repository;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// A file of this repository's `tests/goldens/convert`.
pub fn golden(name: &str) -> PathBuf {
    repository("tests/goldens/convert").join(name)
}

/// A hub that must not be accessed.
pub fn no_hub(repository: &str, file: &str) -> diarize_convert::Result<PathBuf> {
    panic!("{file} of {repository} was requested")
}

/// A builder for pickles.
#[derive(Clone, Default)]
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    pub fn integer(self, value: i64) -> Self {
        self.raw(&[0x8a, 8]).raw(&value.to_le_bytes())
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub fn tuple(self, values: &[i64]) -> Self {
        values.iter().fold(self.raw(b"("), |pickle, &value| pickle.integer(value)).raw(b"t")
    }

    /// An f32 tensor in `storage`, which has `length` values.
    pub fn tensor(self, storage: &str, length: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Self {
        self.tensor_of("FloatStorage", storage, length, offset, shape, strides)
    }

    pub fn tensor_of(
        self,
        class: &str,
        storage: &str,
        length: i64,
        offset: i64,
        shape: &[i64],
        strides: &[i64],
    ) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"((")
            .text("storage")
            .global("torch", class)
            .text(storage)
            .text("cpu")
            .integer(length)
            .raw(b"tQ")
            .integer(offset)
            .tuple(shape)
            .tuple(strides)
            .raw(b"\x89") // requires_grad
            .global("collections", "OrderedDict")
            .raw(b")RtR")
    }

    pub fn done(self) -> Vec<u8> {
        self.raw(b".").0
    }
}

/// The pickle of a state dict with a single tensor `w`.
pub fn one_tensor(length: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    Pickle::new().raw(b"}").text("w").tensor("0", length, offset, shape, strides).raw(b"s").done()
}

/// A zip archive of stored entries.
pub fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    archive_with(entries, CompressionMethod::Stored)
}

pub fn archive_with(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A checkpoint with this pickle and a storage of eight values.
pub fn checkpoint(pickle: &[u8]) -> Vec<u8> {
    let values: Vec<u8> = (0..8).flat_map(|value| (value as f32).to_le_bytes()).collect();
    archive(&[
        ("a/data.pkl", pickle),
        ("a/byteorder", b"little"),
        ("a/data/0", &values),
        ("a/version", b"3\n"),
    ])
}

/// A checkpoint in the legacy format, from before PyTorch 1.6.
pub fn legacy(pickle: &[u8], keys: &[&str], storages: &[u8]) -> Vec<u8> {
    let keys = keys.iter().fold(Pickle::new().raw(b"("), |pickle, key| pickle.text(key)).raw(b"l").done();
    let magic = Pickle::new().raw(b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19").done();
    let system = Pickle::new().raw(b"}").text("little_endian").raw(b"\x88s").done();
    [magic, Pickle::new().integer(1001).done(), system, pickle.to_vec(), keys, storages.to_vec()].concat()
}

/// A storage for [`legacy`], prefixed by its number of values.
pub fn legacy_storage(values: &[f32]) -> Vec<u8> {
    let mut bytes = (values.len() as u64).to_le_bytes().to_vec();
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

/// An `.npy` array with the given header.
pub fn npy(header: &str, values: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values);
    bytes
}
