//! Reads a pickle's bytes sequentially.

use std::borrow::Cow;

use super::PickleProblemKind;

type Result<T> = std::result::Result<T, PickleProblemKind>;

/// A cursor over the bytes.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Number of bytes read so far.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Reads `length` bytes.
    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.offset..];
        let taken = usize::try_from(length)
            .ok()
            .and_then(|length| rest.get(..length))
            .ok_or(PickleProblemKind::Truncated)?;
        self.offset += taken.len();
        Ok(taken)
    }

    /// Reads `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.bytes[self.offset..].first_chunk().ok_or(PickleProblemKind::Truncated)?;
        self.offset += N;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Reads a little-endian number of `bytes` bytes, at most 8.
    pub(super) fn unsigned(&mut self, bytes: u64) -> Result<u64> {
        let taken = self.take(bytes)?;
        Ok(taken.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// Reads a byte string that is prefixed by its length, a number of `bytes` bytes.
    pub(super) fn counted(&mut self, bytes: u64) -> Result<&'a [u8]> {
        let length = self.unsigned(bytes)?;
        self.take(length)
    }

    /// Reads the rest of the line, without the line ending.
    pub(super) fn line(&mut self) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.offset..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or(PickleProblemKind::Truncated)?;
        self.offset += length + 1;
        let line = &rest[..length];
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Reads the rest of the line as text.
    pub(super) fn text_line(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.line()?).map_err(|_| PickleProblemKind::Literal)
    }
}

/// The content of a protocol 0 string literal, the `repr` of a Python 2 string.
pub(super) fn unquoted(line: &[u8]) -> Result<Cow<'_, [u8]>> {
    let quote =
        line.first().filter(|&&quote| quote == b'\'' || quote == b'"').ok_or(PickleProblemKind::Literal)?;
    let inside = line[1..].strip_suffix(&[*quote]).ok_or(PickleProblemKind::Literal)?;
    if inside.contains(&b'\\') { unescaped(inside).map(Cow::Owned) } else { Ok(Cow::Borrowed(inside)) }
}

fn unescaped(literal: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(literal.len());
    let mut rest = literal.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'x') => {
                let mut digit = || rest.next().and_then(|&digit| char::from(digit).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => (16 * high + low) as u8,
                    _ => return Err(PickleProblemKind::Literal),
                }
            }
            Some(&byte @ (b'\\' | b'\'' | b'"')) => byte,
            _ => return Err(PickleProblemKind::Literal),
        });
    }
    Ok(bytes)
}
