//! The scores so far, stored in a file so that an interrupted search can continue.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::Write,
    path::Path,
};

use anyhow::{Context, bail};
use diarize::{Parameters, model::Fingerprint, scoring::Score};
use serde::{Deserialize, Serialize};

use super::grid::Point;
use crate::{labels::Evaluated, output::write_atomically, text};

/// What the scores depend on besides recording and point. It is the first line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heading {
    /// Version of the file format.
    pub tune: u32,
    /// The name of the model.
    pub model: String,
    /// Fingerprint of both networks.
    pub networks: Fingerprint,
    /// The parameters before a point is applied.
    pub parameters: Parameters,
    /// Total width of the collar in seconds.
    pub collar: f64,
    /// Whether overlap is not scored.
    pub skip_overlap: bool,
    /// The only spans that are scored, if there is a UEM file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated: Option<Evaluated>,
}

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    recording: String,
    point: Point,
    score: Score,
}

/// Scores by recording and point.
#[derive(Debug, Default)]
pub struct Ledger {
    scores: HashMap<(String, Point), Score>,
    file: Option<File>,
}

impl Ledger {
    /// Opens or creates the file. Without a path, nothing is stored.
    ///
    /// # Errors
    /// If the file cannot be read or belongs to another search.
    pub fn open(path: Option<&Path>, heading: &Heading) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let named = || format!("cannot use --state {}", path.display());
        let text = if path.exists() { text::read(path, "scores of diarize tune")? } else { String::new() };
        let heading_line = serde_json::to_string(heading)?;
        if !text.contains('\n') && !heading_line.starts_with(&text) {
            bail!("{}: it was not written by diarize tune", named());
        }
        // An interruption may have cut off the last line; it is scored again.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut lines = text[..whole].lines();
        let mut scores = HashMap::new();
        if let Some(line) = lines.next() {
            let found: Heading = serde_json::from_str(line)
                .context("it was not written by diarize tune")
                .with_context(named)?;
            if found != *heading {
                bail!(
                    "{}: it belongs to another model, other rules or other parameters; use another file",
                    named()
                );
            }
        }
        for line in lines {
            let Entry { recording, point, score } = serde_json::from_str(line).with_context(named)?;
            scores.insert((recording, point), score);
        }
        if path.exists() && text.len() as u64 != fs::metadata(path).with_context(named)?.len() {
            // An editor added a byte-order mark.
            write_atomically(path, &text).with_context(named)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(path).with_context(named)?;
        file.set_len(whole as u64).with_context(named)?;
        if whole == 0 {
            writeln!(file, "{heading_line}").with_context(named)?;
        }
        Ok(Self { scores, file: Some(file) })
    }

    /// The score of a recording with the parameters of a point.
    pub fn get(&self, recording: &str, point: &Point) -> Option<&Score> {
        self.scores.get(&(recording.to_owned(), point.clone()))
    }

    /// Adds scores of a recording.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn add(&mut self, recording: &str, scores: Vec<(Point, Score)>) -> anyhow::Result<()> {
        let mut lines = String::new();
        for (point, score) in scores {
            let entry = Entry { recording: recording.to_owned(), point, score };
            lines += &(serde_json::to_string(&entry)? + "\n");
            self.scores.insert((entry.recording, entry.point), score);
        }
        if let Some(file) = &mut self.file {
            file.write_all(lines.as_bytes()).context("cannot write --state")?;
        }
        Ok(())
    }
}
