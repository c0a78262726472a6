//! Segment time marks (STM): one line per turn, as scoring tools for speech recognition read it.
//!
//! Source: NIST, SCTK, "infmts.htm", section "stm".

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use diarize::Turn;

/// The text of a segment that is not to be scored.
const IGNORED: &str = "ignore_time_segment_in_scoring";

/// The speaker of a segment in which nobody speaks.
const GAP: &str = "inter_segment_gap";

/// The turns as STM without text. `uri` and the names of the speakers must not contain white space.
pub fn render(uri: &str, turns: &[Turn]) -> String {
    let line = |turn: &Turn| format!("{uri} 1 {} {:.3} {:.3}\n", turn.speaker, turn.start, turn.end);
    turns.iter().map(line).collect()
}

/// The turns of a file.
#[derive(Debug, Default)]
pub struct Segments {
    /// The turns of each recording, by name.
    pub recordings: BTreeMap<String, Vec<Turn>>,
    /// Number of segments that are marked as not to be scored. They are not among the turns.
    pub ignored: usize,
}

/// Whether the first line that is not a comment looks like STM: `recording channel speaker start end`.
pub fn is_stm(text: &str) -> bool {
    let fields: Vec<&str> =
        lines(text).next().map_or(Vec::new(), |(_, line)| line.split_ascii_whitespace().collect());
    let number = |at: usize| fields.get(at).is_some_and(|field| field.parse::<f64>().is_ok());
    number(3) && number(4)
}

/// Parses STM. Comments (`;;`) and gaps are skipped.
///
/// # Errors
/// If a line is not valid; the error gives its number.
pub fn parse(text: &str) -> anyhow::Result<Segments> {
    let mut segments = Segments::default();
    for (number, line) in lines(text) {
        let (uri, turn, said) = segment(line).with_context(|| format!("line {number} is not valid STM"))?;
        let turns = segments.recordings.entry(uri).or_default();
        if said.eq_ignore_ascii_case(IGNORED) {
            segments.ignored += 1;
        } else if !turn.speaker.eq_ignore_ascii_case(GAP) {
            turns.push(turn);
        }
    }
    Ok(segments)
}

/// The lines with content and their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines =
        text.lines().enumerate().map(|(index, line)| (index + 1, line.trim_start_matches('\u{feff}').trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with(";;"))
}

/// Recording, turn and text of a line.
fn segment(line: &str) -> anyhow::Result<(String, Turn, String)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (&[uri, _channel, speaker, start, end], said) = fields
        .split_first_chunk()
        .context("it has fewer than five fields: recording, channel, speaker, start, end")?;
    let seconds = |what: &str, field: &str| {
        let seconds: Option<f64> = field.parse().ok().filter(|seconds: &f64| seconds.is_finite());
        seconds.with_context(|| {
            format!("the {what} is `{field}`, not a number of seconds; names must not contain spaces")
        })
    };
    let (start, end) = (seconds("start", start)?, seconds("end", end)?);
    ensure!(start <= end, "its end, {end} s, is before its start, {start} s");
    let labels = said.first().is_some_and(|label| label.starts_with('<') && label.ends_with('>'));
    Ok((uri.to_owned(), Turn::new(start, end, speaker), said[usize::from(labels)..].join(" ")))
}

#[cfg(test)]
mod tests {
    use super::{Turn, is_stm, parse, render};

    #[test]
    fn reads_what_it_writes() {
        let turns = vec![Turn::new(0.5, 1.75, "A"), Turn::new(1.0, 3.0, "B")];
        let text = render("talk", &turns);
        assert_eq!(text, "talk 1 A 0.500 1.750\ntalk 1 B 1.000 3.000\n");
        assert!(is_stm(&text));
        assert_eq!(parse(&text).unwrap().recordings["talk"], turns);
    }

    #[test]
    fn gaps_and_ignored_segments_are_not_turns() {
        let text = ";; LABEL \"o\" \"Overall\"\r\n\r\n\
                    talk A inter_segment_gap 0 2 <o,,>\r\n\
                    talk A Ann 2 4.5 <o,f0,female> good morning\r\n\
                    talk A Bob 5 6 IGNORE_TIME_SEGMENT_IN_SCORING\r\n\
                    talk A Bob 6 7 <o> ignore_time_segment_in_scoring\r\n\
                    quiet A inter_segment_gap 0 9\r\n";
        let segments = parse(text).unwrap();
        assert_eq!(segments.recordings["talk"], [Turn::new(2.0, 4.5, "Ann")]);
        assert!(segments.recordings["quiet"].is_empty());
        assert_eq!(segments.ignored, 2);
        assert!(is_stm(text) && !is_stm("talk 1 0.0 1.0") && !is_stm(""));
    }

    #[test]
    fn a_wrong_line_is_named() {
        for (line, reason) in [
            ("talk 1 A 0.5", "fewer than five fields"),
            ("talk 1 A 1 NaN", "the end is `NaN`, not a number of seconds"),
            (
                "my talk 1 A 1 2 hello",
                "the start is `A`, not a number of seconds; names must not contain spaces",
            ),
            ("talk 1 A 2 1", "its end, 1 s, is before its start, 2 s"),
        ] {
            let error = format!("{:#}", parse(&format!("\n{line}\n")).unwrap_err());
            assert!(error.starts_with("line 2 is not valid STM: ") && error.contains(reason), "{error}");
        }
    }
}
