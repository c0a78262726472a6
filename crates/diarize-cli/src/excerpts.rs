//! The arguments that select parts of a recording.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use diarize::{Span, Turn};

use crate::{commands::conflict, input::Input, inputs::Inputs, labels, numbers, output};

/// The parts of a recording to use.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Parts")]
pub struct ExcerptArgs {
    /// Start at this time, such as 90, 1:30 or 1:02:03.5
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "segments")]
    start: Option<f64>,
    /// Stop at this time
    #[arg(long, value_name = "TIME", value_parser = time, conflicts_with = "segments")]
    end: Option<f64>,
    /// Use the turns of this result, RTTM, STM, ELAN or JSON: a file or a directory; `-` is the standard input
    ///
    /// Recordings are looked up by name; a single recording may have any name.
    #[arg(long, value_name = "RESULT")]
    segments: Option<PathBuf>,
    /// Use only this speaker's turns
    #[arg(long, value_name = "NAME", requires = "segments")]
    speaker: Option<String>,
}

/// The parts of recordings, read and checked.
#[derive(Debug)]
pub enum Excerpts {
    /// One span for every recording; it may extend beyond the end.
    Span(Span),
    /// The turns of each recording, by its name.
    Turns(labels::Turns),
}

impl ExcerptArgs {
    /// Reads the files that the arguments name.
    pub fn read(&self) -> anyhow::Result<Excerpts> {
        let (start, end) = (self.start.unwrap_or(0.0), self.end.unwrap_or(f64::INFINITY));
        if start >= end {
            return Err(conflict("--start must be before --end").into());
        }
        let Some(segments) = &self.segments else {
            return Ok(Excerpts::Span(Span { start, end }));
        };
        let mut turns = labels::turns(segments)?;
        if let Some(speaker) = &self.speaker {
            turns.values_mut().for_each(|turns| turns.retain(|turn| turn.speaker == *speaker));
            if turns.values().all(Vec::is_empty) {
                bail!("{} has no turn of a speaker called \"{speaker}\"", segments.display());
            }
        }
        Ok(Excerpts::Turns(turns))
    }

    /// Whether the turns are read from this file.
    pub fn reads(&self, file: &Path) -> bool {
        let inside = |folder: &Path| {
            folder.is_dir()
                && file.exists()
                && file.parent().is_some_and(|parent| output::is_same_file(parent, folder))
        };
        self.segments
            .as_deref()
            .is_some_and(|segments| output::is_same_file(segments, file) || inside(segments))
    }

    /// Checks that the standard input is not used for both audio and turns.
    ///
    /// # Errors
    /// If it is.
    pub fn check_stdin(&self, inputs: &Inputs) -> Result<(), &'static str> {
        let turns = self.segments.as_deref().is_some_and(|path| path.as_os_str() == "-");
        match turns && inputs.all.iter().any(|found| found.input == Input::Stdin) {
            true => Err("the standard input (`-`) can be either audio or --segments, not both"),
            false => Ok(()),
        }
    }
}

impl Excerpts {
    /// The parts of a recording, each with its speaker if known. `only` says that there is no other
    /// recording. Parts may extend beyond the recording's end; see [`Self::clip`].
    pub fn of(&self, input: &Input, only: bool) -> anyhow::Result<Vec<(Span, Option<String>)>> {
        match self {
            Excerpts::Span(span) => Ok(vec![(*span, None)]),
            Excerpts::Turns(all) => {
                let name = output::uri(&input.stem());
                let turns = match all.get(&name) {
                    None if only && all.len() == 1 => all.values().next(),
                    turns => turns,
                };
                let turns =
                    turns.with_context(|| format!("the result of --segments has no turns of {name}"))?;
                let part =
                    |turn: &Turn| (Span { start: turn.start, end: turn.end }, Some(turn.speaker.clone()));
                Ok(turns.iter().map(part).collect())
            }
        }
    }

    /// Clips parts to the end of a recording of `duration` seconds.
    ///
    /// # Errors
    /// If `--start` is at or after the end.
    pub fn clip(parts: &mut [(Span, Option<String>)], duration: f64) -> anyhow::Result<()> {
        if let [(span, None)] = parts
            && span.start >= duration
        {
            bail!("the recording ends at {duration:.1} s, before --start");
        }
        parts.iter_mut().for_each(|(span, _)| span.end = span.end.min(duration));
        Ok(())
    }
}

/// Parses seconds, or hours, minutes and seconds separated by colons.
pub fn time(text: &str) -> Result<f64, String> {
    let parts: Option<Vec<f64>> = text.split(':').map(|part| numbers::seconds(part).ok()).collect();
    match parts {
        Some(parts) if parts.len() <= 3 && parts[1..].iter().all(|part| *part < 60.0) => {
            Ok(parts.iter().fold(0.0, |seconds, part| 60.0 * seconds + part))
        }
        _ => Err("must be a time such as 90, 1:30 or 1:02:03".to_owned()),
    }
}
