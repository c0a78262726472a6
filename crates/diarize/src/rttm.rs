//! Rich Transcription Time Marked (RTTM): one line of text per turn.
//!
//! Source: `Annotation._iter_rttm` in `pyannote/core/annotation.py`; NIST, "The 2009 (RT-09) Rich
//! Transcription Meeting Recognition Evaluation Plan", appendix A.

use crate::{Error, Result, Turn};

/// Line types other than turns.
const OTHER_TYPES: [&str; 13] = [
    "SEGMENT",
    "NOSCORE",
    "NO_RT_METADATA",
    "LEXEME",
    "NON-LEX",
    "NON-SPEECH",
    "FILLER",
    "EDIT",
    "IP",
    "SU",
    "CB",
    "A/P",
    "SPKR-INFO",
];

/// Writes the turns of the recording `uri` as RTTM: one line per turn, times in seconds with millisecond
/// precision.
///
/// # Errors
/// If the name of the recording or of a speaker is empty or contains white space.
pub fn rttm(uri: &str, turns: &[Turn]) -> Result<String> {
    if !is_word(uri) {
        return Err(Error::RttmUri { uri: uri.to_owned() });
    }
    let mut text = String::new();
    for Turn { start, end, speaker, .. } in turns {
        if !is_word(speaker) {
            return Err(Error::InvalidOption {
                option: "speaker",
                value: format!("`{speaker}`"),
                requirement: "a non-empty name without white space, to be valid in RTTM",
            });
        }
        let duration = end - start;
        text += &format!("SPEAKER {uri} 1 {start:.3} {duration:.3} <NA> <NA> {speaker} <NA> <NA>\n");
    }
    Ok(text)
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_whitespace)
}

/// Parses RTTM text into the turns of each recording. Recordings are in the order of their first line,
/// turns in the order of their lines.
///
/// Blank lines, comments (`;;`) and lines of other types than `SPEAKER` are skipped.
///
/// # Errors
/// If a line is none of these; the error gives its number.
pub fn parse_rttm(text: &str) -> Result<Vec<(String, Vec<Turn>)>> {
    let mut recordings: Vec<(String, Vec<Turn>)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(";;") {
            continue;
        }
        let turn = parse_line(line).map_err(|reason| Error::RttmLine { line: index + 1, reason })?;
        let Some((uri, turn)) = turn else { continue };
        match recordings.iter_mut().find(|(known, _)| known == uri) {
            Some((_, turns)) => turns.push(turn),
            None => recordings.push((uri.to_owned(), vec![turn])),
        }
    }
    Ok(recordings)
}

/// Recording and turn of a line; `None` if the line is not a turn.
fn parse_line(line: &str) -> std::result::Result<Option<(&str, Turn)>, &'static str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields[..] {
        [kind, ..] if OTHER_TYPES.contains(&kind) => Ok(None),
        ["SPEAKER", uri, _channel, start, duration, _text, _subtype, speaker, ..] => {
            let start = seconds(start).ok_or("the start is not a number of seconds")?;
            let duration = seconds(duration)
                .filter(|&duration| duration >= 0.0)
                .ok_or("the duration is not a non-negative number of seconds")?;
            Ok(Some((uri, Turn::new(start, start + duration, speaker))))
        }
        ["SPEAKER", ..] => Err("a SPEAKER line has at least eight fields"),
        _ => Err("its type is unknown"),
    }
}

fn seconds(field: &str) -> Option<f64> {
    /// Largest magnitude of a time, in seconds: 32 years.
    const LONGEST: f64 = 1e9;
    field.parse().ok().filter(|seconds: &f64| seconds.abs() <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::{Turn, parse_rttm, rttm};
    use crate::Error;

    #[test]
    fn times_are_rounded_as_in_python() {
        // 0.0625 is an exact tie and rounds to even. 0.0005 and 0.0015 are stored slightly above their
        // decimal value.
        let text = rttm("x", &[Turn::new(0.0625, 0.125, "A"), Turn::new(0.0005, 0.002, "B")]).unwrap();
        let expected =
            "SPEAKER x 1 0.062 0.062 <NA> <NA> A <NA> <NA>\nSPEAKER x 1 0.001 0.002 <NA> <NA> B <NA> <NA>\n";
        assert_eq!(text, expected);
        assert_eq!(rttm("x", &[]).unwrap(), "");
    }

    #[test]
    fn names_that_are_invalid_in_rttm_are_rejected() {
        for uri in ["", "a b", "a\tb", "a\u{a0}b"] {
            assert!(matches!(rttm(uri, &[]), Err(Error::RttmUri { .. })), "{uri:?}");
        }
        let error = rttm("x", &[Turn::new(0.0, 1.0, "A B")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "speaker is `A B`, but must be a non-empty name without white space, to be valid in RTTM"
        );
    }

    #[test]
    fn reads_what_it_writes() {
        let (a, b) =
            (vec![Turn::new(0.5, 1.75, "A"), Turn::new(1.0, 3.0, "B")], vec![Turn::new(2.0, 2.25, "A")]);
        let mut text =
            rttm("one", &a[..1]).unwrap() + &rttm("two", &b).unwrap() + &rttm("one", &a[1..]).unwrap();
        text = format!(";; a comment\n\nSPKR-INFO one 1 <NA> <NA> <NA> unknown A <NA> <NA>\r\n{text}");
        assert_eq!(parse_rttm(&text).unwrap(), [("one".to_owned(), a), ("two".to_owned(), b)]);
    }

    #[test]
    fn an_invalid_line_is_reported_with_its_number() {
        for (line, reason) in [
            ("SPEAKER x 1 0.0 1.0 <NA> <NA>", "a SPEAKER line has at least eight fields"),
            ("SPEAKER x 1 zero 1.0 <NA> <NA> A", "the start is not a number of seconds"),
            ("SPEAKER x 1 0.0 -1.0 <NA> <NA> A", "the duration is not a non-negative number of seconds"),
            ("SPEAKER x 1 0.0 inf <NA> <NA> A", "the duration is not a non-negative number of seconds"),
            ("SPEAKER x 1 1e308 1.0 <NA> <NA> A", "the start is not a number of seconds"),
            ("speaker x 1 0.0 1.0 <NA> <NA> A", "its type is unknown"),
        ] {
            let error = parse_rttm(&format!("\n{line}\n")).unwrap_err();
            assert_eq!(error.to_string(), format!("line 2 is not valid RTTM: {reason}"));
        }
    }
}
