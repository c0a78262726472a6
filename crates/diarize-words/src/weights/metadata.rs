//! The alignment in the metadata of a GGUF file. Candle divides by it without checking that it is not 0.
//!
//! Source: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::io::{Read, Seek};

/// The key of the alignment.
const ALIGNMENT: &[u8] = b"general.alignment";
/// Longer keys are skipped.
const LONGEST_KEY: u64 = 64;
/// Arrays of arrays are followed to this depth.
const DEPTH: usize = 4;

/// Kinds of values.
const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// The alignment of the tensors, if the file gives one. `None` also if the metadata are damaged, which candle reports.
pub fn alignment(file: &mut (impl Read + Seek)) -> Option<u64> {
    number(file, 4)?; // `GGUF`
    let wide = if number(file, 4)? == 1 { 4 } else { 8 };
    number(file, wide)?; // of tensors
    for _ in 0..number(file, wide)? {
        let length = number(file, wide)?;
        let mut key = vec![0; length.min(LONGEST_KEY) as usize];
        file.read_exact(&mut key).ok()?;
        skip(file, length - key.len() as u64)?;
        let kind = number(file, 4)? as u32;
        if key == ALIGNMENT {
            return number(file, size(kind)?);
        }
        skip_value(file, kind, wide, DEPTH)?;
    }
    None
}

/// Bytes of a number or a truth value.
fn size(kind: u32) -> Option<u64> {
    [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8].get(kind as usize).copied().filter(|&size| size > 0)
}

fn skip_value(file: &mut (impl Read + Seek), kind: u32, wide: u64, depth: usize) -> Option<()> {
    match kind {
        STRING => {
            let length = number(file, wide)?;
            skip(file, length)
        }
        ARRAY => {
            let kind = number(file, 4)? as u32;
            let count = number(file, wide)?;
            match size(kind) {
                Some(size) => skip(file, count.checked_mul(size)?),
                None => (0..count).try_for_each(|_| skip_value(file, kind, wide, depth.checked_sub(1)?)),
            }
        }
        kind => skip(file, size(kind)?),
    }
}

fn skip(file: &mut impl Seek, bytes: u64) -> Option<()> {
    file.seek_relative(i64::try_from(bytes).ok()?).ok()
}

/// A number of at most eight bytes, little-endian.
fn number(file: &mut impl Read, bytes: u64) -> Option<u64> {
    let mut number = [0; 8];
    file.read_exact(number.get_mut(..bytes as usize)?).ok()?;
    Some(u64::from_le_bytes(number))
}
