//! `diarize speakers`: lists, renames and removes stored voices.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, bail};
use clap::Subcommand;
use diarize::voices::Voices;
use serde_json::json;

use super::enroll::name;
use crate::{
    database::{self, Database},
    output,
};

const EXAMPLES: &str = "\
Examples:
  diarize speakers                           lists the speakers in speakers.safetensors
  diarize speakers rename SPEAKER_03 Ann --db day.safetensors
  diarize speakers remove Bob

`diarize enroll` adds voices, `diarize --identify FILE` finds them in recordings.";

/// Arguments of `diarize speakers`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// File of voices
    #[arg(long, value_name = "FILE", default_value = database::DEFAULT, global = true)]
    db: PathBuf,
    /// Write the list as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Rename a speaker
    Rename {
        /// The current name
        from: String,
        /// The new name
        #[arg(value_parser = name)]
        to: String,
    },
    /// Remove speakers
    Remove {
        /// The names of the speakers
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut database = Database::read(&args.db)?;
    let unknown = |name: &str| format!("{} has no speaker called \"{name}\"", args.db.display());
    match &args.action {
        None => {
            output::print(list(&database, args.json)?.as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Action::Rename { from, to }) => {
            database.change(|Voices { people, .. }| {
                if people.contains_key(to) {
                    bail!("{} already has a speaker called \"{to}\"; remove one first", args.db.display());
                }
                let voice = people.remove(from).with_context(|| unknown(from))?;
                people.insert(to.clone(), voice);
                Ok(())
            })?;
        }
        Some(Action::Remove { names }) => database.change(|Voices { people, .. }| {
            for name in names {
                people.remove(name).with_context(|| unknown(name))?;
            }
            Ok(())
        })?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(database: &Database, as_json: bool) -> anyhow::Result<String> {
    let voices = &database.voices;
    if as_json {
        let speaker = |(name, voice): (&String, &diarize::voices::Voice)| json!({ "name": name, "seconds": voice.seconds, "recordings": voice.recordings });
        let speakers: Vec<_> = voices.people.iter().map(speaker).collect();
        let list =
            json!({ "model": voices.model, "embedding_network": voices.fingerprint, "speakers": speakers });
        return Ok(serde_json::to_string_pretty(&list)? + "\n");
    }
    let width = voices.people.keys().map(|name| name.chars().count()).max().unwrap_or(0).max("speaker".len());
    let mut text = format!("{:width$}  speech s  recordings\n", "speaker");
    for (name, voice) in &voices.people {
        text += &format!("{name:width$}  {:8.1}  {:10}\n", voice.seconds, voice.recordings);
    }
    Ok(text + &format!("voices of the model {}\n", voices.model))
}
