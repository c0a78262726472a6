//! The file format of PyTorch before version 1.6: five pickles (a magic number, the protocol, system information,
//! the object and the storage names), followed by the storages, each prefixed by its length.
//!
//! Source: `_legacy_save` in `torch/serialization.py`.

use std::collections::BTreeMap;

use super::layout::storage;
use crate::{Problem, pickle::Pickle};

/// `0x1950a86a20f9469cfc6c`, little-endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The version of the format.
const PROTOCOL: i64 = 1001;

/// The values of each storage.
pub(super) struct Storages<'a>(BTreeMap<String, &'a [u8]>);

impl<'a> Storages<'a> {
    /// The values of a storage; empty if it does not exist.
    pub(super) fn get(&self, key: &str) -> &'a [u8] {
        self.0.get(key).copied().unwrap_or_default()
    }
}

/// Whether `bytes` start with the magic number.
fn detect(bytes: &[u8]) -> bool {
    matches!(Pickle::read(bytes), Ok((pickle, _)) if pickle.root().long() == Some(&MAGIC))
}

/// Splits a file into the object's pickle and the storages.
pub(super) fn split(bytes: &[u8]) -> Result<(&[u8], Storages<'_>), Problem> {
    if !detect(bytes) {
        return Err(Problem::NotTorch);
    }
    let mut rest = bytes;
    let mut next = || -> Result<(&[u8], Pickle<'_>), Problem> {
        let (pickle, length) = Pickle::read(rest)?;
        let (taken, left) = rest.split_at(length);
        rest = left;
        Ok((taken, pickle))
    };
    next()?;
    if next()?.1.root().integer() != Some(PROTOCOL) {
        return Err(Problem::LegacyProtocol);
    }
    if next()?.1.root().get("little_endian").and_then(|value| value.boolean()) == Some(false) {
        return Err(Problem::BigEndian);
    }
    let (object, pickle) = next()?;
    let (_, keys) = next()?;

    let mut sizes = BTreeMap::new();
    for reference in pickle.references() {
        // Other references contain the source code of classes.
        let Some(Some("storage")) = reference.elements().next().map(|tag| tag.text()) else { continue };
        let (kind, key, _) = storage(reference).map_err(|problem| problem.of("(storage)"))?;
        sizes.insert(key.to_owned(), kind.size());
    }
    let mut storages = BTreeMap::new();
    for key in keys.root().elements().filter_map(|key| key.text()) {
        let truncated = || Problem::LegacyTruncated { storage: key.to_owned() };
        let size = *sizes.get(key).ok_or_else(truncated)?;
        let (length, after) = rest.split_first_chunk().ok_or_else(truncated)?;
        let length =
            usize::try_from(u64::from_le_bytes(*length)).ok().and_then(|length| length.checked_mul(size));
        let (values, after) =
            length.and_then(|length| after.split_at_checked(length)).ok_or_else(truncated)?;
        storages.insert(key.to_owned(), values);
        rest = after;
    }
    Ok((object, Storages(storages)))
}
