//! Reads text files: UTF-8, or UTF-16 with a byte-order mark.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use anyhow::{Context, anyhow, bail, ensure};

/// Largest size of a text file in bytes. Turns of a thousand hours take about 100 MB.
const LARGEST: u64 = 1 << 28;

/// Reads a file of limited size.
///
/// # Errors
/// If it cannot be read or is too large.
pub fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it has more than {LARGEST} bytes")));
    }
    Ok(bytes)
}

/// Reads a text file; `-` is the standard input. `kind` says what it should contain, such as `settings`.
///
/// # Errors
/// If it cannot be read, is not text, or is too large. The error names the file.
pub fn read(path: &Path, kind: &str) -> anyhow::Result<String> {
    let stdin = path.as_os_str() == "-";
    let name = if stdin { "the standard input".to_owned() } else { path.display().to_string() };
    let unreadable = || format!("cannot read {name}");
    ensure!(!path.is_dir(), "{name} is a directory, not {kind}: name a file");
    let source: Box<dyn Read> =
        if stdin { Box::new(io::stdin()) } else { Box::new(File::open(path).with_context(unreadable)?) };
    let mut bytes = Vec::new();
    source.take(LARGEST + 1).read_to_end(&mut bytes).with_context(unreadable)?;
    let too_large = bytes.len() as u64 > LARGEST;
    let text = if too_large { Err(anyhow!("it has more than {LARGEST} bytes")) } else { decode(bytes) };
    // Text comes first: UTF-16 can look like an MPEG frame.
    if text.is_err() && path.is_file() && diarize_audio::is_recording(path).with_context(unreadable)? {
        bail!("{name} is a recording, not {kind}: name another file");
    }
    text.with_context(|| format!("{name} is not {kind}"))
}

/// Decodes UTF-8, or UTF-16 with a byte-order mark, and removes the mark. Lines may end with a carriage return alone.
///
/// # Errors
/// If the bytes are not text.
pub fn decode(bytes: Vec<u8>) -> anyhow::Result<String> {
    let text = unicode(bytes)?;
    Ok(if text.contains('\n') { text } else { text.replace('\r', "\n") })
}

fn unicode(mut bytes: Vec<u8>) -> anyhow::Result<String> {
    let utf16 = |unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        let text = String::from_utf16(&units).ok().filter(|_| bytes.len().is_multiple_of(2));
        text.context("it starts with a mark of UTF-16, but is not UTF-16: save it as UTF-8")
    };
    match bytes[..] {
        [0xff, 0xfe, ..] => return utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => return utf16(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, ..] => drop(bytes.drain(..3)),
        _ => {}
    }
    ensure!(
        !bytes.contains(&0),
        "it contains zero bytes, so it is not text, or UTF-16 without a byte-order mark"
    );
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        anyhow!("line {line} is not UTF-8: if the file is text, save it as UTF-8")
    })
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn text_is_decoded_with_any_mark() {
        let text = "Zoë 1\r\n";
        let units: Vec<u16> = text.encode_utf16().collect();
        let little = [vec![0xff, 0xfe], units.iter().flat_map(|unit| unit.to_le_bytes()).collect()].concat();
        let big = [vec![0xfe, 0xff], units.iter().flat_map(|unit| unit.to_be_bytes()).collect()].concat();
        for bytes in [text.as_bytes().to_vec(), [b"\xef\xbb\xbf", text.as_bytes()].concat(), little, big] {
            assert_eq!(decode(bytes).unwrap(), text);
        }
        assert_eq!(decode(b"one\rtwo\r".to_vec()).unwrap(), "one\ntwo\n");
        assert_eq!(decode(Vec::new()).unwrap(), "");
        assert_eq!(decode(b"\xef\xbb\xbf".to_vec()).unwrap(), "");
    }

    #[test]
    fn other_bytes_get_a_reason() {
        for (bytes, reason) in [
            (&b"one\nZo\xeb\n"[..], "line 2 is not UTF-8"),
            (b"o\0n\0e\0", "UTF-16 without a byte-order mark"),
            (b"\xff\xfea", "not UTF-16"),
            (b"\xff\xfe\x00\xd8", "not UTF-16"),
        ] {
            let error = decode(bytes.to_vec()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
