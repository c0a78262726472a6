//! `diarize score`: how right results are.

mod report;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::bail;
use clap::ValueEnum;
use diarize::{
    Turn,
    scoring::{Comparison, Rules, Score, compare},
};

use self::report::Report;
use crate::{
    labels::{self, Evaluated},
    overrides::not_negative,
};

const EXAMPLES: &str = "\
Examples:
  diarize score reference.rttm meeting.rttm
  diarize score --collar 0.5 references/ results/            0.25 s on each side of a boundary
  diarize score --convention md-eval --collar 0.25 ref/ hyp/ the same
  diarize score --uem all.uem --skip-overlap -f csv ref.rttm hyp.rttm > scores.csv
  diarize talk.wav | diarize score talk.rttm -               from a pipe

Recordings are matched by their names; if each side has one only, it is compared whatever it is called.
A recording of the reference that the results do not name counts as one in which nobody was found.

DER   missed + false alarm + confused, as a share of the speech in the reference
JER   the mean over speakers of 1 - (both speak) / (one of both speaks)
The numbers are those of pyannote.metrics.";

/// Arguments of `diarize score`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What is right: RTTM or JSON, a file or a directory of them
    #[arg(value_name = "REF")]
    reference: PathBuf,
    /// What is scored, likewise; `-` is the standard input
    #[arg(value_name = "HYP")]
    found: PathBuf,
    #[command(flatten)]
    rules: RuleArgs,
    /// How scores are written
    #[arg(short, long, value_enum, default_value_t)]
    format: Format,
}

/// What counts when results are scored.
#[derive(Clone, Debug, clap::Args)]
pub struct RuleArgs {
    /// Leave out this much time around the boundaries of the reference's turns
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = not_negative)]
    collar: f64,
    /// What a collar's length is: pyannote states its total width, md-eval each side
    #[arg(long, value_enum, default_value_t)]
    convention: Convention,
    /// Leave out the time in which several people speak in the reference
    #[arg(long)]
    skip_overlap: bool,
    /// Score only the spans of this UEM file; recordings that it does not name are left out
    #[arg(long, value_name = "FILE")]
    uem: Option<PathBuf>,
}

impl RuleArgs {
    /// What is scored of each recording; `None` where all is.
    ///
    /// # Errors
    /// A file that cannot be read, or is no UEM.
    pub fn evaluated(&self) -> anyhow::Result<Option<Evaluated>> {
        self.uem.as_deref().map(labels::evaluated).transpose()
    }

    /// The library's rules.
    pub fn rules(&self) -> Rules {
        let collar = match self.convention {
            Convention::Pyannote => self.collar,
            Convention::MdEval => 2.0 * self.collar,
        };
        Rules { collar, skip_overlap: self.skip_overlap }
    }
}

/// What the length of a collar means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Convention {
    /// Total width: 0.5 is a quarter of a second on each side
    #[default]
    Pyannote,
    /// Each side, as md-eval.pl, dscore and NIST state it
    MdEval,
}

/// How scores are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: percent
    #[default]
    Table,
    /// For programs: seconds and rates
    Json,
    /// For spreadsheets: seconds and rates
    Csv,
}

/// Scores the results and prints the scores.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let rules = args.rules.rules();
    let references = labels::turns(&args.reference)?;
    let mut found = labels::turns(&args.found)?;
    rename_the_only_one(&references, &mut found);
    let evaluated = args.rules.evaluated()?;

    let mut comparisons: Vec<(String, Comparison)> = Vec::new();
    for (name, reference) in &references {
        let spans = evaluated.as_ref().map(|evaluated| evaluated.get(name));
        if spans == Some(None) {
            warn(&format!("{name} is left out: the UEM does not name it"));
            continue;
        }
        let turns = found.remove(name).unwrap_or_else(|| {
            warn(&format!("nobody was found in {name}: the results do not name it"));
            Vec::new()
        });
        let spans = spans.flatten().map(Vec::as_slice);
        comparisons.push((name.clone(), compare(reference, &turns, spans, &rules)));
    }
    for name in found.keys() {
        warn(&format!("{name} is not scored: the reference does not name it"));
    }
    if comparisons.is_empty() {
        bail!("there is nothing to score: no recording of the reference is in the UEM");
    }
    let mut total = Score::default();
    comparisons.iter().for_each(|(_, comparison)| total += comparison.score);
    let report = Report { rules, comparisons: &comparisons, total };
    // A closed pipe is no error: the reader needs no more.
    let _ = io::stdout().write_all(report.render(args.format)?.as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// Where both sides have one recording, the names do not matter.
fn rename_the_only_one(references: &BTreeMap<String, Vec<Turn>>, found: &mut BTreeMap<String, Vec<Turn>>) {
    if let (1, 1, Some(name)) = (references.len(), found.len(), references.keys().next())
        && !found.contains_key(name)
        && let Some((other, turns)) = found.pop_first()
    {
        warn(&format!("{other} is taken for {name}: each side has one recording"));
        found.insert(name.clone(), turns);
    }
}

fn warn(line: &str) {
    eprintln!("diarize: {line}");
}
