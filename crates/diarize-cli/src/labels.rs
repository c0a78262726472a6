//! Turns and scored spans of recordings, read from files.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use diarize::{Span, Turn, parse_rttm, scoring::parse_uem};
use serde::Deserialize;

use crate::{eaf, failure, output, stm, text, timeline::Timeline};

/// Extensions of files of turns.
const EXTENSIONS: [&str; 4] = ["rttm", "json", "eaf", "stm"];

/// Largest time in seconds: 32 years.
const LONGEST: f64 = 1e9;

/// The turns of recordings, by name. White space in names is replaced by `_`, as in the results of this program.
pub type Turns = BTreeMap<String, Vec<Turn>>;

/// The scored spans of recordings, by name. White space in names is replaced by `_`.
pub type Evaluated = BTreeMap<String, Vec<Span>>;

/// The turns of each recording by name, from a file of results (RTTM, STM, ELAN or JSON; `-` is the standard input) or
/// from all such files in a directory.
///
/// # Errors
/// If a file cannot be read or has another format, or if a recording is in two files.
pub fn turns(path: &Path) -> anyhow::Result<Turns> {
    if !path.is_dir() {
        return by_name(&[(path.to_owned(), timelines(path)?)]);
    }
    let files = files(path, &EXTENSIONS)?;
    ensure!(!files.is_empty(), "the directory {} contains no RTTM, STM, ELAN or JSON files", path.display());
    turns_in(files)
}

/// The turns of each recording in some files, each named after its recording.
///
/// # Errors
/// As [`turns`].
pub fn turns_in(files: Vec<PathBuf>) -> anyhow::Result<Turns> {
    let mut all = Vec::new();
    for file in files {
        let mut timelines = timelines(&file)?;
        if timelines.is_empty() {
            // A recording without turns has no line in RTTM; its name is that of the file.
            let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            timelines.push(Timeline::new(stem, Vec::new()));
        }
        all.push((file, timelines));
    }
    by_name(&all)
}

fn by_name(files: &[(PathBuf, Vec<Timeline>)]) -> anyhow::Result<Turns> {
    let mut found: BTreeMap<String, (&Path, &[Turn])> = BTreeMap::new();
    for (file, Timeline { name, turns, .. }) in
        files.iter().flat_map(|(file, timelines)| timelines.iter().map(move |timeline| (file, timeline)))
    {
        let name = output::uri(name);
        match found.get(&name) {
            Some((_, other)) if !other.is_empty() && turns.is_empty() => {}
            Some((other, known)) if !known.is_empty() => {
                let (other, file) = (other.display(), file.display());
                bail!("{name} is in both {other} and {file}: use only one of them")
            }
            _ => drop(found.insert(name, (file, turns))),
        }
    }
    Ok(found.into_iter().map(|(name, (_, turns))| (name, turns.to_vec())).collect())
}

/// The files of a directory that have one of the extensions, sorted by name.
pub fn files(directory: &Path, extensions: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let list = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut files = list().with_context(|| format!("cannot read the directory {}", directory.display()))?;
    files.retain(|file| {
        let extension = file.extension().unwrap_or_default();
        file.is_file() && extensions.iter().any(|known| extension.eq_ignore_ascii_case(known))
    });
    files.sort();
    Ok(files)
}

/// The scored spans of each recording, from a UEM file.
///
/// # Errors
/// If the file cannot be read or is not UEM.
pub fn evaluated(path: &Path) -> anyhow::Result<Evaluated> {
    let text = text::read(path, "UEM")?;
    let mut evaluated = Evaluated::new();
    for (name, spans) in parse_uem(&text).with_context(|| path.display().to_string())? {
        evaluated.entry(output::uri(&name)).or_default().extend(spans);
    }
    ensure!(!evaluated.is_empty(), "{} contains no spans", path.display());
    Ok(evaluated)
}

/// The recordings in a file of results: RTTM, STM, ELAN or this program's JSON; `-` is the standard input.
///
/// # Errors
/// If the file cannot be read, has another format, or contains impossible times.
pub fn timelines(path: &Path) -> anyhow::Result<Vec<Timeline>> {
    let text = text::read(path, "RTTM, STM, ELAN or JSON")?;
    let named = || path.display().to_string();
    let timelines = parse(&text, path).with_context(named)?;
    timelines.iter().try_for_each(check).with_context(named)?;
    Ok(timelines)
}

/// Parses the text of a file. The content tells the format.
fn parse(text: &str, path: &Path) -> anyhow::Result<Vec<Timeline>> {
    match text.trim_start().chars().next() {
        Some('{') => return parse_json(text),
        Some('<') => return parse_eaf(text, path),
        _ => {}
    }
    let is_rttm = text.lines().any(|line| line.split_ascii_whitespace().next() == Some("SPEAKER"));
    match parse_rttm(text) {
        Ok(recordings) => {
            Ok(recordings.into_iter().map(|(name, turns)| Timeline::new(name, turns)).collect())
        }
        Err(_) if !is_rttm && stm::is_stm(text) => parse_stm(text, path),
        Err(error) if is_rttm => Err(error.into()),
        Err(error) => Err(error).context("neither RTTM, STM, ELAN nor diarize's JSON"),
    }
}

fn parse_eaf(text: &str, path: &Path) -> anyhow::Result<Vec<Timeline>> {
    let eaf::Annotations { recording, turns, untimed } = eaf::parse(text).context("not ELAN")?;
    if untimed > 0 {
        warn(&format!("{}: {untimed} annotations without a time are left out", path.display()));
    }
    let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(vec![Timeline::new(recording.unwrap_or_else(stem), turns)])
}

fn parse_stm(text: &str, path: &Path) -> anyhow::Result<Vec<Timeline>> {
    let stm::Segments { recordings, ignored } = stm::parse(text)?;
    if ignored > 0 {
        warn(&format!(
            "{}: {ignored} segments with ignore_time_segment_in_scoring are left out, but their time is scored: \
             use --uem to score only the rest",
            path.display()
        ));
    }
    Ok(recordings.into_iter().map(|(name, turns)| Timeline::new(name, turns)).collect())
}

#[derive(Deserialize)]
struct Document {
    uri: String,
    duration: f64,
    turns: Vec<Turn>,
}

fn parse_json(text: &str) -> anyhow::Result<Vec<Timeline>> {
    let documents = serde_json::Deserializer::from_str(text).into_iter::<Document>();
    documents
        .map(|document| match document {
            Ok(Document { uri, duration, turns }) => Ok(Timeline { name: uri, duration, turns }),
            Err(error) => match non_finite(text, &error) {
                Some(word) => bail!("line {} contains {word}, which is not a number in JSON", error.line()),
                None if is_transcript(text) => {
                    bail!("a transcript, not turns: use `diarize -f json` or RTTM")
                }
                None => Err(error).context("not diarize's JSON"),
            },
        })
        .collect()
}

/// Whether the text is JSON as `diarize transcribe` and Whisper write it.
fn is_transcript(text: &str) -> bool {
    let document: Option<serde_json::Value> =
        serde_json::Deserializer::from_str(text).into_iter().next().and_then(Result::ok);
    document.is_some_and(|document| document.get("segments").is_some() && document.get("turns").is_none())
}

/// The word at which an error occurred, if it is how some programs write a number that is not finite.
fn non_finite(text: &str, error: &serde_json::Error) -> Option<&'static str> {
    let line = text.lines().nth(error.line().checked_sub(1)?)?;
    let rest = line.get(error.column().checked_sub(1)?..)?;
    ["NaN", "nan", "Infinity", "inf"].into_iter().find(|word| rest.starts_with(word))
}

/// Checks that all times are possible.
fn check(timeline: &Timeline) -> anyhow::Result<()> {
    let Timeline { name, duration, turns } = timeline;
    let possible = |time: f64| (0.0..=LONGEST).contains(&time);
    for Turn { start, end, speaker, .. } in turns {
        ensure!(
            possible(*start) && possible(*end) && start <= end,
            "{name} has a turn of {speaker} from {start} s to {end} s, but times must be in order and from 0 to \
             {LONGEST:e} s"
        );
    }
    ensure!(
        possible(*duration),
        "the duration of {name} is {duration} s, but must be from 0 to {LONGEST:e} s"
    );
    Ok(())
}

/// Prints a warning.
pub fn warn(line: &str) {
    failure::tell(format_args!("warning: {line}"));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{check, parse};

    #[test]
    fn the_content_tells_the_format() {
        let turn = "SPEAKER talk 1 0.5 1.0 <NA> <NA> A <NA> <NA>\n";
        let eaf = crate::eaf::render(Some("talk.wav"), &[diarize::Turn::new(0.5, 1.5, "A")]);
        let json =
            r#" {"uri": "talk", "duration": 1.5, "turns": [{"start": 0.5, "end": 1.5, "speaker": "A"}]}"#;
        for text in [
            turn,
            &format!("SPKR-INFO talk 1 0.0 0.0 <NA> <NA> x A <NA>\n{turn}"),
            json,
            &eaf,
            "talk 1 A 0.5 1.5",
        ] {
            let timelines = parse(text, Path::new("talk.txt")).unwrap();
            assert_eq!(timelines.len(), 1, "{text}");
            assert_eq!((timelines[0].name.as_str(), timelines[0].duration), ("talk", 1.5));
            assert_eq!(timelines[0].turns, [diarize::Turn::new(0.5, 1.5, "A")]);
        }
        assert!(parse("", Path::new("talk.rttm")).unwrap().is_empty());
        let document = eaf.replace("MEDIA_DESCRIPTOR", "OTHER");
        assert_eq!(parse(&document, Path::new("in/day 1.eaf")).unwrap()[0].name, "day 1");
    }

    #[test]
    fn json_of_several_recordings_is_read() {
        let text = r#"{"uri": "a", "duration": 2.0, "turns": [{"start": 0, "end": 1.5, "speaker": "S"}]}
                      {"uri": "b", "duration": 3.0, "turns": []}"#;
        let timelines = parse(text, Path::new("-")).unwrap();
        assert_eq!((timelines.len(), timelines[1].duration, timelines[0].turns.len()), (2, 3.0, 1));
        assert!(parse("{\"turns\": []}", Path::new("-")).is_err());
    }

    #[test]
    fn numbers_that_are_not_finite_are_named() {
        for (number, reason) in [
            ("NaN", "line 2 contains NaN, which is not a number in JSON"),
            ("-Infinity", "line 2 contains Infinity, which is not a number in JSON"),
            ("1e999", "not diarize's JSON: number out of range"),
        ] {
            let text = format!(
                "{{\"uri\": \"a\", \"duration\": 2.0, \"turns\": [\n{{\"start\": {number}, \"end\": 1}}]}}"
            );
            let error = format!("{:#}", parse(&text, Path::new("-")).unwrap_err());
            assert!(error.starts_with(reason), "{error}");
        }
    }

    #[test]
    fn impossible_times_are_refused_in_every_format() {
        for text in [
            "SPEAKER talk 1 9e8 9e8 <NA> <NA> A <NA> <NA>",
            "talk 1 A 0 1e12",
            "talk 1 A -1 1",
            r#"{"uri": "talk", "duration": 1, "turns": [{"start": 0, "end": 1e300, "speaker": "A"}]}"#,
            r#"{"uri": "talk", "duration": 1, "turns": [{"start": 2, "end": 1, "speaker": "A"}]}"#,
            r#"{"uri": "talk", "duration": -1, "turns": []}"#,
        ] {
            let timelines = parse(text, Path::new("-")).unwrap();
            assert!(check(&timelines[0]).unwrap_err().to_string().contains("from 0 to 1e9 s"), "{text}");
        }
    }
}
