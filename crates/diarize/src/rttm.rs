//! Rich Transcription Time Marked (RTTM): one line of text per turn.
//!
//! Source: `Annotation._iter_rttm` in `pyannote/core/annotation.py`; NIST, "The 2009 (RT-09) Rich
//! Transcription Meeting Recognition Evaluation Plan", appendix A.

use std::collections::HashMap;

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

/// Stands for a field without a value.
const NONE: &str = "<NA>";

/// Writes the turns of the recording `uri` as RTTM: one line per turn, times in seconds with millisecond
/// precision.
///
/// # Errors
/// If the name of the recording or of a speaker is empty, `<NA>`, or contains white space.
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
    !name.is_empty() && name != NONE && !name.contains(char::is_whitespace)
}

/// Parses RTTM text into the turns of each recording. Recordings are in the order of their first line,
/// turns in the order of their lines.
///
/// Blank lines, comments (`;;`), byte-order marks and lines of other types than `SPEAKER` are skipped. Fields are
/// separated by spaces or tabs. Names that contain spaces are accepted where the line has only one possible reading:
/// tabs separate its fields, or the times are followed by two `<NA>`.
///
/// # Errors
/// If a line is none of these; the error gives its number.
pub fn parse_rttm(text: &str) -> Result<Vec<(String, Vec<Turn>)>> {
    by_recording(text, parse_line).map_err(|(line, reason)| Error::RttmLine { line, reason })
}

/// The items of each recording, by its name.
type Items<T> = Vec<(String, Vec<T>)>;

/// The recording and the item of a line, or the reason why the line is wrong. `None` if the line is to be skipped.
pub(crate) type Line<T> = std::result::Result<Option<(String, T)>, String>;

/// Parses text with one item per line, skipping blank lines, comments (`;;`) and byte-order marks. Returns the items of
/// each recording, or the number of a wrong line and the reason. `parse` returns the recording and the item of a line.
pub(crate) fn by_recording<T>(
    text: &str,
    parse: fn(&str) -> Line<T>,
) -> std::result::Result<Items<T>, (usize, String)> {
    let mut recordings: Items<T> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start_matches('\u{feff}').trim();
        if line.is_empty() || line.starts_with(";;") {
            continue;
        }
        let Some((name, item)) = parse(line).map_err(|reason| (index + 1, reason))? else { continue };
        let place = *places.entry(name.clone()).or_insert(recordings.len());
        if place == recordings.len() {
            recordings.push((name, Vec::new()));
        }
        recordings[place].1.push(item);
    }
    Ok(recordings)
}

/// Recording and turn of a line; `None` if the line is not a turn.
fn parse_line(line: &str) -> Line<Turn> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let kind = fields.first().copied().unwrap_or_default();
    if OTHER_TYPES.contains(&kind) {
        return Ok(None);
    }
    if kind != "SPEAKER" {
        let kind: String = kind.chars().take(40).collect();
        return Err(format!("its type `{kind}` is unknown"));
    }
    let tabs: Vec<&str> = line.split('\t').map(str::trim).collect();
    let marked = regular(&tabs).or_else(|| regular(&fields)).or_else(|| with_spaces(&fields));
    let Some(Marked { uri, start, duration, speaker }) = marked else { return Err(wrong_fields(&fields)) };
    let (start, duration) = (seconds("start", start)?, seconds("duration", duration)?);
    Ok(Some((uri, Turn::new(start, start + duration, speaker))))
}

/// The fields of a turn.
struct Marked<'a> {
    uri: String,
    start: &'a str,
    duration: &'a str,
    speaker: String,
}

/// The fields of a line whose names contain no separator: eight to ten fields, the ninth a confidence and the tenth a
/// lookahead time.
fn regular<'a>(fields: &[&'a str]) -> Option<Marked<'a>> {
    let (&[_, uri, _, start, duration, _, _, speaker], rest) = fields.split_first_chunk()?;
    let rest_is_regular = match rest {
        [] => true,
        [confidence] => is_confidence(confidence),
        [confidence, lookahead] => is_confidence(confidence) && (*lookahead == NONE || is_number(lookahead)),
        _ => false,
    };
    (speaker != NONE && rest_is_regular).then(|| Marked {
        uri: uri.to_owned(),
        start,
        duration,
        speaker: speaker.to_owned(),
    })
}

/// The fields of a line whose names contain spaces, if the line has only one possible reading: exactly once, two
/// numbers are followed by two `<NA>`, and the speaker is not followed by a number, which could be part of the name.
fn with_spaces<'a>(fields: &[&'a str]) -> Option<Marked<'a>> {
    let times = |&at: &usize| {
        let [start, duration, text, subtype] = fields[at..at + 4] else { return false };
        is_number(start) && is_number(duration) && text == NONE && subtype == NONE
    };
    let mut places = (3..fields.len().saturating_sub(4)).filter(times);
    let (Some(at), None) = (places.next(), places.next()) else { return None };
    let speaker = match &fields[at + 4..] {
        [speaker @ .., NONE, NONE] => speaker,
        [speaker @ .., NONE] | speaker if !speaker.last().is_some_and(|last| is_number(last)) => speaker,
        _ => return None,
    };
    (!speaker.is_empty() && !speaker.contains(&NONE)).then(|| Marked {
        uri: fields[1..at - 1].join(" "),
        start: fields[at],
        duration: fields[at + 1],
        speaker: speaker.join(" "),
    })
}

/// The reason why the fields are neither those of a regular line nor unambiguous.
fn wrong_fields(fields: &[&str]) -> String {
    match fields.len() {
        0..8 => format!(
            "it has only {} of at least eight fields: \
             SPEAKER, recording, channel, start, duration, <NA>, <NA>, speaker",
            fields.len()
        ),
        8 if fields[7] == NONE => "it has no speaker: the eighth field is `<NA>`".to_owned(),
        count => format!(
            "the meaning of its {count} fields is unclear: names must not contain spaces; replace them, for example by `_`"
        ),
    }
}

fn is_number(field: &str) -> bool {
    field.parse::<f64>().is_ok()
}

/// Whether a field is a confidence. A whole number other than 1 is more likely the end of a name such as `Speaker 2`.
fn is_confidence(field: &str) -> bool {
    field == NONE || field == "1" || is_number(field) && field.parse::<i64>().is_err()
}

/// Parses the field `what`, a number of seconds.
pub(crate) fn seconds(what: &str, field: &str) -> std::result::Result<f64, String> {
    /// Largest time in seconds: 32 years.
    const LONGEST: f64 = 1e9;
    match field.parse::<f64>() {
        Ok(seconds) if seconds > LONGEST && seconds.is_finite() => {
            Err(format!("the {what} is {field}, but times are in seconds and at most {LONGEST:e}"))
        }
        Ok(seconds) if seconds >= 0.0 && seconds.is_finite() => Ok(seconds),
        Ok(seconds) if seconds < 0.0 && seconds.is_finite() => {
            Err(format!("the {what} is {field}, but must not be negative"))
        }
        _ => Err(format!("the {what} is `{field}`, not a number of seconds")),
    }
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
        for uri in ["", "<NA>", "a b", "a\tb", "a\u{a0}b"] {
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
            ("SPEAKER x 1 0.0 1.0 <NA> <NA>", "it has only 7 of at least eight fields"),
            ("SPEAKER", "it has only 1 of at least eight fields"),
            ("SPEAKER x 1 zero 1.0 <NA> <NA> A", "the start is `zero`, not a number of seconds"),
            ("SPEAKER x 1 0,5 1.0 <NA> <NA> A", "the start is `0,5`, not a number of seconds"),
            ("SPEAKER x 1 NaN 1.0 <NA> <NA> A", "the start is `NaN`, not a number of seconds"),
            ("SPEAKER x 1 -0.5 1.0 <NA> <NA> A", "the start is -0.5, but must not be negative"),
            ("SPEAKER x 1 0.0 -1.0 <NA> <NA> A", "the duration is -1.0, but must not be negative"),
            ("SPEAKER x 1 0.0 inf <NA> <NA> A", "the duration is `inf`, not a number of seconds"),
            (
                "SPEAKER x 1 1e12 1.0 <NA> <NA> A",
                "the start is 1e12, but times are in seconds and at most 1e9",
            ),
            ("SPEAKER x 1 0.0 1.0 <NA> <NA> <NA>", "it has no speaker"),
            ("speaker x 1 0.0 1.0 <NA> <NA> A", "its type `speaker` is unknown"),
            ("NOEVAL x 1 0.0 1.0 <NA> <NA> A", "its type `NOEVAL` is unknown"),
        ] {
            let error = parse_rttm(&format!("\n{line}\n")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("line 2 is not valid RTTM: {reason}")), "{error}");
        }
    }

    #[test]
    fn spaces_in_names_are_read_if_the_line_has_only_one_meaning() {
        for (line, uri, speaker) in [
            ("SPEAKER my file 1 5.00 5.00 <NA> <NA> Ann <NA> <NA>", "my file", "Ann"),
            ("SPEAKER my file 1 5.00 5.00 <NA> <NA> Ann <NA>", "my file", "Ann"),
            ("SPEAKER my file 1 5.00 5.00 <NA> <NA> Ann", "my file", "Ann"),
            ("SPEAKER talk 2 3 1 5.00 5.00 <NA> <NA> Ann Lee <NA> <NA>", "talk 2 3", "Ann Lee"),
            ("SPEAKER x 1 5.00 5.00 <NA> <NA> Ann Lee <NA> <NA>", "x", "Ann Lee"),
            ("SPEAKER x 1 5.00 5.00 <NA> <NA> Ann Lee <NA>", "x", "Ann Lee"),
            ("SPEAKER x 1 5.00 5.00 <NA> <NA> Ann Lee", "x", "Ann Lee"),
            ("SPEAKER x 1 5.00 5.00 <NA> <NA> Speaker 2 <NA> <NA>", "x", "Speaker 2"),
            (
                "SPEAKER\tmy file\t1\t5.00\t5.00\tsome text\t<NA>\tSpeaker 2\t0.5\t<NA>",
                "my file",
                "Speaker 2",
            ),
            ("SPEAKER\tx\t1\t5.00\t5.00\t<NA>\t<NA>\tAnn\t<NA>\t<NA>", "x", "Ann"),
            ("SPEAKER  x   1 5.00 5.00 <NA> <NA>  Ann\u{a0}Lee 0.93 <NA>", "x", "Ann\u{a0}Lee"),
            ("SPEAKER x <NA> 5.00 5.00 speech <NA> Ann 1 <NA>", "x", "Ann"),
        ] {
            let expected = [(uri.to_owned(), vec![Turn::new(5.0, 10.0, speaker)])];
            assert_eq!(parse_rttm(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn spaces_in_names_with_several_meanings_are_errors() {
        for line in [
            "SPEAKER x 1 5.00 5.00 <NA> <NA> Speaker 2 <NA>",
            "SPEAKER x 1 5.00 5.00 <NA> <NA> Speaker 0",
            "SPEAKER my file 1 5.00 5.00 <NA> <NA> Ann 0.5 <NA>",
            "SPEAKER my file 1 5.00 5.00 speech <NA> Ann <NA> <NA>",
            "SPEAKER x 1 5.00 5.00 <NA> <NA> 1.0 2.0 <NA> <NA> Ann <NA>",
            "SPEAKER x 1 5.00 5.00 <NA> <NA> Ann <NA> <NA> <NA>",
        ] {
            let error = parse_rttm(line).unwrap_err().to_string();
            assert!(error.contains("names must not contain spaces; replace them"), "{line}: {error}");
        }
    }

    #[test]
    fn byte_order_marks_are_skipped() {
        let line = "SPEAKER x 1 0.000 1.000 <NA> <NA> A <NA> <NA>\n";
        // The second mark is where two files were joined.
        let turns = parse_rttm(&format!("\u{feff}{line}\u{feff}{line}")).unwrap();
        assert_eq!((turns.len(), turns[0].1.len()), (1, 2));
    }
}
