//! Un-partitioned Evaluation Map (UEM): the spans of recordings to be scored.
//!
//! Source: NIST, "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", appendix B.

use crate::{Error, Result, Span};

/// Parses UEM text (`recording channel start end`, times in seconds) into the spans of each recording.
/// Recordings are in the order of their first line.
///
/// Blank lines and comments (`;;`) are skipped.
///
/// # Errors
/// If a line is none of these; the error gives its number.
pub fn parse_uem(text: &str) -> Result<Vec<(String, Vec<Span>)>> {
    let mut recordings: Vec<(String, Vec<Span>)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(";;") {
            continue;
        }
        let (uri, span) = parse_line(line).map_err(|reason| Error::UemLine { line: index + 1, reason })?;
        match recordings.iter_mut().find(|(known, _)| known == uri) {
            Some((_, spans)) => spans.push(span),
            None => recordings.push((uri.to_owned(), vec![span])),
        }
    }
    Ok(recordings)
}

fn parse_line(line: &str) -> std::result::Result<(&str, Span), &'static str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [uri, _channel, start, end] = fields[..] else {
        return Err("it must have four fields: recording, channel, start and end");
    };
    let seconds = |field: &str| field.parse().ok().filter(|seconds: &f64| seconds.is_finite());
    match (seconds(start), seconds(end)) {
        (Some(start), Some(end)) if start <= end => Ok((uri, Span { start, end })),
        (Some(_), Some(_)) => Err("its end is before its start"),
        _ => Err("start and end must be numbers of seconds"),
    }
}
