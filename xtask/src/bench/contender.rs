//! The programs to compare.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, Result};

use super::measure::Run;

/// Another program, given on the command line.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) words: Vec<String>,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, command) = text.split_once('=').ok_or("it must be NAME=COMMAND")?;
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            return Err("the command is empty".into());
        }
        Ok(Self { name: name.to_owned(), words })
    }
}

/// A program, its arguments and its runs so far.
pub(super) struct Contender {
    pub(super) name: String,
    pub(super) command: Vec<String>,
    pub(super) threads: usize,
    /// The file for its turns; `None` if it prints them.
    pub(super) rttm: Option<PathBuf>,
    pub(super) runs: Vec<Run>,
    version: String,
}

impl Contender {
    /// Creates a contender and fills in the placeholders in `words`.
    pub(super) fn new(
        name: String,
        words: Vec<String>,
        threads: usize,
        audio: &Path,
        version: String,
    ) -> Result<Self> {
        let audio = audio.to_str().context("the recording's name is not Unicode")?;
        let file = std::env::temp_dir().join(format!("bench-{}.rttm", std::process::id()));
        let rttm = words.iter().any(|word| word.contains("{rttm}")).then_some(file);
        let fill = |word: String| {
            let word = word.replace("{audio}", audio).replace("{threads}", &threads.to_string());
            match &rttm {
                Some(file) => word.replace("{rttm}", &file.display().to_string()),
                None => word,
            }
        };
        let command = words.into_iter().map(fill).collect();
        Ok(Self { name, command, threads, rttm, runs: Vec::new(), version })
    }

    /// The version that the program prints, or the given one.
    pub(super) fn version(&self) -> &str {
        let lines = self.runs.iter().flat_map(|run| run.output.lines());
        let mut printed = lines.filter_map(|line| line.strip_prefix("version: "));
        printed.next().unwrap_or(&self.version)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Contender, Peer};

    #[test]
    fn placeholders_are_replaced() {
        let peer: Peer = "other 1.0=python run.py {audio} --threads={threads} --out {rttm}".parse().unwrap();
        let version = String::new();
        let contender = Contender::new(peer.name, peer.words, 2, Path::new("a b.wav"), version).unwrap();
        assert_eq!(contender.name, "other 1.0");
        let rttm = contender.rttm.unwrap().display().to_string();
        assert_eq!(contender.command, ["python", "run.py", "a b.wav", "--threads=2", "--out", rttm.as_str()]);
        assert!("no command".parse::<Peer>().is_err() && "empty= ".parse::<Peer>().is_err());
    }
}
