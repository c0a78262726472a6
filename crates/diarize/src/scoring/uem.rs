//! Un-partitioned Evaluation Map (UEM): the spans of recordings to be scored.
//!
//! Source: NIST, "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", appendix B.

use crate::{
    Error, Result, Span,
    rttm::{Line, by_recording, seconds},
};

/// Parses UEM text (`recording channel start end`, times in seconds) into the spans of each recording.
/// Recordings are in the order of their first line; their names may contain spaces.
///
/// Blank lines, comments (`;;`) and byte-order marks are skipped.
///
/// # Errors
/// If a line is none of these; the error gives its number.
pub fn parse_uem(text: &str) -> Result<Vec<(String, Vec<Span>)>> {
    by_recording(text, parse_line).map_err(|(line, reason)| Error::UemLine { line, reason })
}

fn parse_line(line: &str) -> Line<Span> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [uri @ .., _channel, start, end] = &fields[..] else { return Err(too_few(&fields)) };
    if uri.is_empty() {
        return Err(too_few(&fields));
    }
    let (start, end) = (seconds("start", start)?, seconds("end", end)?);
    if start > end {
        return Err(format!("its end, {end} s, is before its start, {start} s"));
    }
    Ok(Some((uri.join(" "), Span { start, end })))
}

fn too_few(fields: &[&str]) -> String {
    format!("it has only {} of four fields: recording, channel, start, end", fields.len())
}
