//! `diarize tune`: finds the best parameters on recordings with known turns.

mod grid;
mod ledger;
mod report;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::ValueEnum;
use diarize::{
    Clustered, Diarizer, Embedded, Options, Span, Turn,
    clustering::Settings,
    model::{Fingerprint, ModelFiles},
    scoring::{Rules, Score, compare},
};
use diarize_audio::Settings as AudioSettings;
use sha2::{Digest, Sha256};

use self::{
    grid::{Axis, Point},
    ledger::{Heading, Ledger},
    report::Report,
};
use crate::{
    commands::score::RuleArgs,
    input::Input,
    inputs,
    labels::{self, Evaluated},
    model::ModelArgs,
    output,
    overrides::Overrides,
    progress::{Console, Verbosity},
    source::Source,
};

const EXAMPLES: &str = "\
Examples:
  diarize tune recordings/                        audio with RTTM files next to it
  diarize tune --state tune.jsonl recordings/     continues an interrupted search
  diarize tune --try fa=0.1,0.2,0.4 --try fb=0.2,0.4,0.8 recordings/
  diarize tune --try step=1,2.5 --try threshold=0.6:0.8:0.02 recordings/
  diarize tune --clustering spectral --try min_duration_off=0,0.5 --reference truth/ day/

The parameters are those of `diarize --set`, and min_duration_on, min_duration_off, step (seconds), \
decoding, embedding_trunk and reconstruction. Every combination is tried. The networks run once for all \
thresholds; they run again only for other values of step, decoding, embedding_trunk or reconstruction. \
Without --try, the search covers min_duration_off and values around the current threshold and \
min_cluster_size (with VBx: threshold, fa and fb).

The best parameters are printed as arguments and as lines for diarize.toml. With few recordings the best \
result is partly chance; the line \"Expected on new recordings\" shows how much.";

/// Arguments of `diarize tune`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Audio files, directories or patterns
    #[arg(required = true)]
    audio: Vec<PathBuf>,
    /// The reference, RTTM, STM, ELAN or JSON: a file or a directory [default: the files next to the audio]
    ///
    /// Next to the audio, a recording's turns are looked up in the RTTM files first, then in ELAN's, then in STM.
    #[arg(long, value_name = "REF")]
    reference: Option<PathBuf>,
    /// Also search the subdirectories of directories
    #[arg(short, long)]
    recursive: bool,
    /// Try these values, separated by commas, or FROM:TO:BY; can be given several times
    #[arg(long = "try", value_name = "KEY=VALUES", value_parser = Axis::parse)]
    axes: Vec<Axis>,
    /// Store scores in this file, and continue from those already there
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Scores")]
    rules: RuleArgs,
    /// Output format
    #[arg(short, long, value_enum, default_value_t, help_heading = "Output")]
    format: Format,
    /// Show all combinations, not only the best
    #[arg(long, help_heading = "Output")]
    all: bool,
    #[command(flatten)]
    verbosity: Verbosity,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    overrides: Overrides,
}

/// The format of the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For reading: percentages of the best combinations, and settings to paste
    #[default]
    Table,
    /// For programs: seconds and rates of all combinations
    Json,
    /// For spreadsheets: rates of all combinations
    Csv,
}

/// A recording with known turns.
struct Recording {
    name: String,
    /// The name, with a hash of the reference, for the state file.
    key: String,
    input: Input,
    truth: Vec<Turn>,
    /// The spans to score; `None` for everything.
    evaluated: Option<Vec<Span>>,
}

/// The key of a recording's scores, which are those for one reference.
fn key(name: &str, truth: &[Turn]) -> String {
    let turns = truth.iter().map(|turn| format!("{} {} {}\n", turn.start, turn.end, turn.speaker));
    let hash = Sha256::digest(turns.collect::<String>());
    let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name} {hash}")
}

/// Scores every combination and prints the report.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let console = args.verbosity.console();
    let evaluated = args.rules.evaluated()?;
    let recordings = recordings(args, evaluated.as_ref(), &console)?;
    let (diarizer, files) = args.model.open_with_files(&console)?;
    let mut options = args.model.options(&diarizer);
    let chunk = diarizer.model().segmentation.duration;
    args.overrides.apply(&mut options, chunk)?;
    diarizer.check(&options).map_err(|error| match error {
        diarize::Error::NoSpeakerCount => super::conflict(
            "--clustering kmeans needs the number of speakers, which differs: tune another method",
        )
        .into(),
        error => anyhow::Error::from(error),
    })?;
    let axes = if args.axes.is_empty() { Axis::defaults(&options.parameters) } else { args.axes.clone() };
    let (points, own) = points(&axes, &options, chunk)?;
    let rules = args.rules.rules();
    let heading = Heading {
        tune: 1,
        model: files.manifest.name.clone(),
        networks: networks(&files),
        parameters: options.parameters.clone(),
        collar: rules.collar,
        skip_overlap: rules.skip_overlap,
        evaluated,
    };
    let mut ledger = Ledger::open(args.state.as_deref(), &heading)?;

    let search = Search { diarizer: &diarizer, options: &options, points: &points, rules, console: &console };
    for (index, recording) in recordings.iter().enumerate() {
        let count = format!("[{}/{}] {}", index + 1, recordings.len(), recording.input);
        match search.score(recording, &mut ledger).with_context(|| recording.input.to_string())? {
            0 => console.line(&format!("{count}: already scored")),
            tried => console.line(&format!("{count}: {tried} tried")),
        }
    }

    let scores = |point: &Point| -> Vec<Score> {
        let scores = recordings.iter().filter_map(|recording| ledger.get(&recording.key, point));
        scores.copied().collect()
    };
    let tried: Vec<(Point, Vec<Score>)> = points.iter().map(|point| (point.clone(), scores(point))).collect();
    let report = Report { tried: &tried, own: &own, all: args.all };
    output::print(report.render(args.format)?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// All combinations, including that of the current values, and that combination by itself.
fn points(axes: &[Axis], options: &Options, chunk: f64) -> anyhow::Result<(Vec<Point>, Point)> {
    let mut keys = HashSet::new();
    let mut own = Point::new();
    for Axis { key, .. } in axes {
        if !keys.insert(key) {
            return Err(super::conflict(format!(
                "--try {key} is given twice: list all its values in one --try"
            ))
            .into());
        }
        let method = options.parameters.clustering.method.name();
        let value = grid::value_of(key, &options.parameters, chunk)
            .ok_or_else(|| super::conflict(format!("--try {key}: {method} has no such parameter")))?;
        own.push((key.clone(), value));
    }
    let mut points = grid::points(axes).map_err(|why| super::conflict(format!("--try: {why}")))?;
    if !points.contains(&own) {
        points.insert(0, own.clone());
    }
    for point in &points {
        grid::apply(point, &mut options.clone(), chunk)?;
    }
    // Points that share a run of the networks become neighbors.
    points.sort_by_key(grid::network_part);
    Ok((points, own))
}

fn networks(files: &ModelFiles) -> Fingerprint {
    Fingerprint::of_bytes(&[&*files.segmentation.bytes, &*files.embedding.bytes].concat())
}

/// The recordings that have a reference and, if there is a UEM file, are in it.
fn recordings(
    args: &Args,
    evaluated: Option<&Evaluated>,
    console: &Console,
) -> anyhow::Result<Vec<Recording>> {
    let inputs = inputs::find(&args.audio, args.recursive).map_err(super::conflict)?;
    inputs.warn(console);
    let mut truth = labels::Turns::new();
    match &args.reference {
        Some(reference) => truth = labels::turns(reference)?,
        None => {
            let folders: HashSet<PathBuf> =
                inputs.all.iter().filter_map(|found| Some(folder(found.input.path()?))).collect();
            for extension in ["rttm", "eaf", "stm"] {
                let files = folders.iter().map(|folder| labels::files(folder, &[extension]));
                let files = files.collect::<anyhow::Result<Vec<_>>>()?.concat();
                for (name, turns) in labels::turns_in(files)? {
                    truth.entry(name).or_insert(turns);
                }
            }
        }
    }
    let mut recordings: Vec<Recording> = Vec::new();
    for found in inputs.all {
        if let Some(path) = found.input.path().filter(|path| !path.exists()) {
            bail!("{}: no such file: check the path", path.display());
        }
        let name = output::uri(&found.input.stem());
        if recordings.iter().any(|other| other.name == name) {
            bail!("two recordings are called {name}: rename one");
        }
        let spans = evaluated.map(|evaluated| evaluated.get(&name));
        match truth.remove(&name) {
            None => console.warn(&format!("{} is skipped: there is no reference for {name}", found.input)),
            Some(_) if spans == Some(None) => {
                console.warn(&format!("{} is skipped: {name} is not in the UEM file", found.input));
            }
            Some(truth) => {
                let evaluated = spans.flatten().cloned();
                let key = key(&name, &truth);
                recordings.push(Recording { name, key, input: found.input, truth, evaluated });
            }
        }
    }
    if recordings.is_empty() {
        bail!(
            "no recording has a reference{}: put RTTM, ELAN or STM files next to the audio, or use --reference",
            if evaluated.is_some() { " and is in the UEM file" } else { "" }
        );
    }
    Ok(recordings)
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// State shared by all recordings.
struct Search<'a> {
    diarizer: &'a Diarizer,
    options: &'a Options,
    points: &'a [Point],
    rules: Rules,
    console: &'a Console,
}

impl Search<'_> {
    /// Scores the points of a recording that are not in the ledger yet, and returns their number.
    fn score(&self, recording: &Recording, ledger: &mut Ledger) -> anyhow::Result<usize> {
        let lacks = |point: &&Point| ledger.get(&recording.key, point).is_none();
        let missing: Vec<&Point> = self.points.iter().filter(lacks).collect();
        if missing.is_empty() {
            return Ok(0);
        }
        let source = Source::new(&recording.input, AudioSettings::default(), true)?;
        let mut warned = false;
        for points in missing.chunk_by(|a, b| grid::network_part(a) == grid::network_part(b)) {
            let options = self.options_of(points[0])?;
            let mut progress = self.console.file(&recording.input.to_string());
            let mut listener = self.diarizer.listen_with(&options, |event| progress.observe(&event))?;
            let decoded = source.read(|block| Ok(listener.push(block)?))?;
            if !std::mem::replace(&mut warned, true) {
                decoded.warn(&recording.input);
                self.warn_about_end(recording, decoded.duration);
            }
            let embedded = listener.embedded()?;
            ledger.add(&recording.key, self.score_points(recording, &embedded, points)?)?;
        }
        Ok(missing.len())
    }

    /// Warns if the reference ends long after the recording.
    fn warn_about_end(&self, recording: &Recording, duration: f64) {
        let end = recording.truth.iter().map(|turn| turn.end).fold(0.0, f64::max);
        if end > duration + 1.0 {
            self.console.line(&format!(
                "warning: {} ends at {duration:.1} s, but its reference at {end:.1} s: check that they belong \
                 together and that times are in seconds",
                recording.input
            ));
        }
    }

    /// The scores of points that differ only in the steps after the networks.
    fn score_points(
        &self,
        recording: &Recording,
        embedded: &Embedded,
        points: &[&Point],
    ) -> anyhow::Result<Vec<(Point, Score)>> {
        let mut scores = Vec::with_capacity(points.len());
        let mut last: Option<(Settings, Clustered<'_>)> = None;
        for &point in points {
            let options = self.options_of(point)?;
            let settings = &options.parameters.clustering;
            let clustered = match last.take() {
                Some((of, clustered)) if of == *settings => clustered,
                _ => embedded.assign(&options)?,
            };
            let found = clustered.diarization(&options.parameters)?.turns;
            let evaluated = recording.evaluated.as_deref();
            scores.push((point.clone(), compare(&recording.truth, &found, evaluated, &self.rules).score));
            last = Some((settings.clone(), clustered));
        }
        Ok(scores)
    }

    fn options_of(&self, point: &Point) -> anyhow::Result<Options> {
        let mut options = self.options.clone();
        grid::apply(point, &mut options, self.diarizer.model().segmentation.duration)?;
        Ok(options)
    }
}
