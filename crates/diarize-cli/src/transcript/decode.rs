//! Text from the bytes of a file.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// The text of a file, and a warning if its encoding had to be guessed or replaced. A byte-order mark tells UTF-8 and
/// UTF-16. Bytes that are not UTF-8 are Windows-1252, which contains Latin-1.
pub(super) fn decode(bytes: &[u8]) -> (String, Option<String>) {
    let marked = Encoding::for_bom(bytes).map(|(encoding, _)| encoding).filter(|encoding| *encoding != UTF_8);
    if let Some(encoding) = marked.or_else(|| unmarked_utf16(bytes)) {
        let (text, broken) = encoding.decode_with_bom_removal(bytes);
        let replaced = if broken { "; characters that are broken were replaced" } else { "" };
        let warning = format!("the text is {}: results are UTF-8{replaced}", encoding.name());
        return (text.into_owned(), Some(warning));
    }
    let Err(error) = str::from_utf8(bytes) else {
        return (String::from_utf8_lossy(bytes).into_owned(), None);
    };
    let line = bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() + 1;
    let text = String::from_utf8_lossy(bytes);
    let broken = text.matches(char::REPLACEMENT_CHARACTER).count();
    // A few broken bytes in a text that is otherwise UTF-8, with other letters than those of ASCII.
    if text.chars().filter(|letter| !letter.is_ascii()).count() > 2 * broken {
        return (
            text.into_owned(),
            Some(format!("bytes that are not UTF-8 were replaced by `�` (line {line})")),
        );
    }
    let warning = format!(
        "the text is not UTF-8 (line {line}): it was read as Windows-1252; if letters are wrong, convert the file to UTF-8"
    );
    (WINDOWS_1252.decode_without_bom_handling(bytes).0.into_owned(), Some(warning))
}

/// UTF-16 without a byte-order mark: transcripts begin with an ASCII character, whose other byte is zero.
fn unmarked_utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    match bytes {
        [first, 0, ..] if *first > 0 => Some(UTF_16LE),
        [0, second, ..] if *second > 0 => Some(UTF_16BE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn encodings_are_recognized() {
        let text = "1\nGrüße – 你好";
        let utf16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let (little, big) = (utf16(u16::to_le_bytes), utf16(u16::to_be_bytes));
        let marked = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
        for (bytes, encoding) in [
            (little.clone(), "UTF-16LE"),
            (big.clone(), "UTF-16BE"),
            (marked(&[0xff, 0xfe], &little), "UTF-16LE"),
            (marked(&[0xfe, 0xff], &big), "UTF-16BE"),
        ] {
            let (decoded, warning) = decode(&bytes);
            assert_eq!(decoded, text);
            assert!(warning.unwrap().contains(encoding), "{encoding}");
        }
        assert_eq!(decode(text.as_bytes()), (text.to_owned(), None));
    }

    #[test]
    fn other_bytes_are_windows_1252_unless_most_are_utf_8() {
        let (text, warning) = decode(b"1\nGr\xfc\xdfe \x96 f\xfcr");
        assert_eq!(text, "1\nGrüße – für");
        assert!(warning.unwrap().starts_with("the text is not UTF-8 (line 2)"));
        let (text, warning) = decode(&["Grüße für Äpfel".as_bytes(), b"\n\xff"].concat());
        assert_eq!(text, "Grüße für Äpfel\n�");
        assert!(warning.unwrap().contains("(line 2)"));
    }
}
