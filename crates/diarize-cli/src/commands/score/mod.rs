//! `diarize score`: scores results against a reference.

mod report;

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use anyhow::{bail, ensure};
use clap::ValueEnum;
use diarize::{
    Span, Turn,
    scoring::{Comparison, Rules, Score, compare},
};

use self::report::Report;
use crate::{
    labels::{self, Evaluated, warn},
    numbers, output,
};

const EXAMPLES: &str = "\
Examples:
  diarize score reference.rttm meeting.rttm
  diarize score --collar 0.5 references/ results/            0.25 s on each side of a boundary
  diarize score --convention md-eval --collar 0.25 ref/ hyp/ the same
  diarize score --uem all.uem --skip-overlap -f csv ref.rttm hyp.rttm > scores.csv
  diarize score annotated.eaf talk.rttm                      an ELAN document as the reference
  diarize talk.wav | diarize score talk.rttm -               from a pipe

Recordings are matched by name; if each side has only one, the two are compared whatever their names.
A recording that is missing from the results counts as one in which no speech was found.

DER   (missed + false alarm + confused) / speech in the reference
JER   mean over speakers of 1 - (time both speak) / (time either speaks)
The metrics are those of pyannote.metrics.";

/// Arguments of `diarize score`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The reference: RTTM, STM, ELAN or JSON, a file or a directory
    #[arg(value_name = "REF")]
    reference: PathBuf,
    /// The results to score, also a file or a directory; `-` is the standard input
    #[arg(value_name = "HYP")]
    found: PathBuf,
    #[command(flatten)]
    rules: RuleArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    format: Format,
}

/// Arguments that select what is scored.
#[derive(Clone, Debug, clap::Args)]
pub struct RuleArgs {
    /// Do not score this much time around the boundaries of reference turns
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = numbers::seconds)]
    collar: f64,
    /// How the collar's length is given: total width (pyannote) or width on each side (md-eval)
    #[arg(long, value_enum, default_value_t)]
    convention: Convention,
    /// Do not score time in which several people speak in the reference
    #[arg(long)]
    skip_overlap: bool,
    /// Score only the spans in this UEM file; skip recordings that are not in it
    #[arg(long, value_name = "FILE")]
    uem: Option<PathBuf>,
}

impl RuleArgs {
    /// The spans to score in each recording; `None` if everything is scored.
    ///
    /// # Errors
    /// If the file cannot be read or is not UEM.
    pub fn evaluated(&self) -> anyhow::Result<Option<Evaluated>> {
        self.uem.as_deref().map(labels::evaluated).transpose()
    }

    /// These rules for the library.
    pub fn rules(&self) -> Rules {
        let collar = match self.convention {
            Convention::Pyannote => self.collar,
            Convention::MdEval => 2.0 * self.collar,
        };
        Rules { collar, skip_overlap: self.skip_overlap }
    }
}

/// How the length of a collar is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Convention {
    /// Total width: 0.5 is a quarter of a second on each side
    #[default]
    Pyannote,
    /// Width on each side, as in md-eval.pl, dscore and NIST evaluations
    MdEval,
}

/// The format of scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For reading: percentages
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
    ensure!(!references.is_empty(), "the reference {} contains no turns", args.reference.display());
    match_single_recordings(&references, &mut found);
    let evaluated = args.rules.evaluated()?;

    let mut comparisons: Vec<(String, Comparison)> = Vec::new();
    for (name, reference) in &references {
        let spans = evaluated.as_ref().map(|evaluated| evaluated.get(name));
        let turns = found.remove(name);
        if spans == Some(None) {
            warn(&format!("{name} is skipped: it is not in the UEM file"));
            continue;
        }
        let turns = turns.unwrap_or_else(|| {
            warn(&format!("{name} is not in the results: it is scored as if no speech was found"));
            Vec::new()
        });
        let spans = spans.flatten().map(Vec::as_slice);
        warn_about_times(name, reference, &turns, spans);
        comparisons.push((name.clone(), compare(reference, &turns, spans, &rules)));
    }
    for name in found.keys() {
        warn(&format!("{name} is not scored: it is not in the reference"));
    }
    if comparisons.is_empty() {
        let names = evaluated.iter().flatten().map(|(name, _)| name.as_str()).take(3).collect::<Vec<_>>();
        bail!(
            "there is nothing to score: no recording of the reference is in the UEM file, which contains {}",
            names.join(", ")
        );
    }
    let mut total = Score::default();
    comparisons.iter().for_each(|(_, comparison)| total += comparison.score);
    let report = Report { rules, comparisons: &comparisons, total };
    output::print(report.render(args.format)?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// If each side has exactly one recording, ignores its name.
fn match_single_recordings(
    references: &BTreeMap<String, Vec<Turn>>,
    found: &mut BTreeMap<String, Vec<Turn>>,
) {
    if let (1, 1, Some(name)) = (references.len(), found.len(), references.keys().next())
        && !found.contains_key(name)
        && let Some((other, turns)) = found.pop_first()
    {
        warn(&format!("comparing {other} with {name}: each side has only one recording"));
        found.insert(name.clone(), turns);
    }
}

/// Warns if times look like milliseconds, or if no turn of the reference is in the spans to score.
fn warn_about_times(name: &str, reference: &[Turn], found: &[Turn], spans: Option<&[Span]>) {
    /// Times in milliseconds are a thousand times those in seconds, but not every file covers the whole recording.
    const FACTOR: f64 = 300.0;
    let end = |turns: &[Turn]| turns.iter().map(|turn| turn.end).fold(0.0, f64::max);
    let window = spans.unwrap_or_default().iter().map(|span| span.end).fold(0.0, f64::max);
    let mut ends =
        vec![(end(reference), "the reference"), (end(found), "the results"), (window, "the UEM file")];
    ends.retain(|(end, _)| *end > 0.0);
    ends.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    if let [(early, short), .., (late, long)] = ends[..]
        && late > FACTOR * early
    {
        warn(&format!(
            "{name} ends at {late} s in {long} and at {early} s in {short}: are the times of {long} in milliseconds \
             instead of seconds?"
        ));
    }
    let inside = |turn: &Turn| {
        spans.unwrap_or_default().iter().any(|span| turn.start < span.end && span.start < turn.end)
    };
    if spans.is_some() && !reference.is_empty() && !reference.iter().any(inside) {
        warn(&format!("no turn of {name} in the reference is within the spans of the UEM file"));
    }
}
