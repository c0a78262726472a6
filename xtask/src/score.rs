//! `cargo xtask score`: how right the pipeline is, on recordings whose turns are known.

use std::time::Instant;

use anyhow::{Result, bail};
use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use diarize::{
    EmbeddingTrunk, Options, Reconstruction, Turn,
    clustering::{Method, Settings},
    scoring::{self, Rules, compare},
};

use crate::labelled::{Labelled, Recording};

/// Diarizes recordings and prints the diarization error rate: no collar, overlap scored
///
/// Every WAV file (16 kHz, one channel) in the folders is taken of which an RTTM file beside it
/// knows. With several ways to cluster or parameters the networks run once for all of them.
#[derive(Args, Debug)]
pub struct Score {
    #[command(flatten)]
    labelled: Labelled,
    /// What the embedding network runs over, chunk or shared [default: the model's own]
    ///
    /// With both, the turns are compared with each other as well.
    #[arg(long, value_delimiter = ',')]
    embedding_trunk: Vec<EmbeddingTrunk>,
    /// What tells who speaks in a frame, votes or voices [default: the model's own; with the trunk chunk, votes]
    #[arg(long)]
    reconstruction: Option<Reconstruction>,
    /// Ways to cluster to compare, each with its defaults [default: the model's own]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = PossibleValuesParser::new(Method::NAMES).map(|name| Settings::named(&name).expect("the parser takes no other names")))]
    clustering: Vec<Settings>,
    /// Values of a parameter to compare, of one of the ways to cluster, such as online.threshold=0.3,0.4
    #[arg(long, value_name = "METHOD.KEY=VALUES", value_parser = Values::parse)]
    set: Vec<Values>,
    /// As --set agglomerative.threshold=VALUES
    #[arg(long, value_delimiter = ',')]
    threshold: Vec<f64>,
    /// As --set agglomerative.min_cluster_size=VALUES
    #[arg(long, value_delimiter = ',')]
    min_cluster_size: Vec<usize>,
    /// Tell the true number of speakers
    #[arg(long)]
    known_number: bool,
    /// Print each recording as well
    #[arg(long)]
    each: bool,
}

impl Score {
    /// Runs the command.
    ///
    /// # Errors
    /// Where a recording or the model cannot be read, or the device fails.
    pub fn run(&self) -> Result<()> {
        let (diarizer, mut options) = self.labelled.diarizer()?;
        let settings = self.settings(&options)?;
        let mut sums = vec![Sum::default(); settings.len()];
        let mut differences = vec![Sum::default(); settings.len()];
        let width = settings.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
        println!(
            " trunk  {:width$}     DER = missed + false + confused  seconds  speakers: right, off by",
            "clustering"
        );
        for recording in self.labelled.recordings()? {
            let Recording { wav, samples, truth } = recording?;
            if self.known_number {
                let mut names: Vec<&str> = truth.iter().map(|turn| turn.speaker.as_str()).collect();
                names.sort_unstable();
                names.dedup();
                options.num_speakers = Some(names.len().max(1));
            }
            let mut found: Vec<Vec<Turn>> = Vec::new();
            for same_trunk in settings.chunk_by(|a, b| a.trunk == b.trunk) {
                let mut options = options.clone();
                let parameters = &mut options.parameters;
                parameters.set_embedding_trunk(same_trunk[0].trunk);
                parameters.reconstruction = self.reconstruction.unwrap_or(parameters.reconstruction);
                let diarization = diarizer.diarize_with(&samples, &options, &mut |_| {})?;
                for setting in same_trunk {
                    let sum = &mut sums[found.len()];
                    let start = Instant::now();
                    let mut options = options.clone();
                    options.parameters.clustering = setting.clustering.clone();
                    found.push(diarizer.cluster_again(&diarization.stages, &options)?.turns);
                    sum.seconds += start.elapsed().as_secs_f64();
                }
            }
            for ((setting, sum), turns) in settings.iter().zip(&mut sums).zip(&found) {
                let score = compare(&truth, turns, None, &Rules::default()).score;
                sum.add(score);
                if self.each {
                    let (found, right) = (score.speakers_found, score.speakers);
                    let name = wav.file_stem().unwrap_or_default().to_string_lossy();
                    print_row(setting, width, score, &format!("{found} of {right}  {name}"));
                }
            }
            for ((setting, difference), turns) in settings.iter().zip(&mut differences).zip(&found) {
                let other = settings.iter().position(|other| other.clustering == setting.clustering);
                let first = &found[other.expect("at least itself")];
                difference.add(compare(first, turns, None, &Rules::default()).score);
            }
        }
        for (setting, sum) in settings.iter().zip(&sums) {
            let recordings = sum.score.recordings as f64;
            let share = 100.0 * sum.right_counts as f64 / recordings;
            let off = sum.score.speaker_count_error as f64 / recordings;
            let rest = format!("{:7.2}  {share:.1} % of {recordings}, {off:.2}", sum.seconds);
            print_row(setting, width, sum.score, &rest);
        }
        let others =
            settings.iter().zip(&differences).filter(|(setting, _)| setting.trunk != settings[0].trunk);
        for (setting, difference) in others {
            let rest = format!("as if {} were the truth", settings[0].trunk);
            print_row(setting, width, difference.score, &rest);
        }
        Ok(())
    }

    /// Every way to cluster with every combination of the values given for it.
    fn settings(&self, own: &Options) -> Result<Vec<Setting>> {
        let own = &own.parameters;
        let trunks = match self.embedding_trunk.as_slice() {
            [] => vec![own.embedding_trunk],
            trunks => trunks.to_vec(),
        };
        let mut clusterings: Vec<(String, Settings)> = match self.clustering.as_slice() {
            [] => vec![own.clustering.clone()],
            // The model's own parameters are better than defaults.
            named => named
                .iter()
                .map(|named| {
                    if named.method.name() == own.clustering.method.name() { &own.clustering } else { named }
                })
                .cloned()
                .collect(),
        }
        .into_iter()
        .map(|settings| (settings.method.name().to_owned(), settings))
        .collect();
        let of = |key: &str, values: Vec<String>| Values {
            method: "agglomerative".into(),
            key: key.into(),
            values,
        };
        let thresholds = of("threshold", self.threshold.iter().map(f64::to_string).collect());
        let sizes = of("min_cluster_size", self.min_cluster_size.iter().map(usize::to_string).collect());
        for values in self.set.iter().chain([&thresholds, &sizes]).filter(|values| !values.values.is_empty())
        {
            clusterings = values.given_to(clusterings)?;
        }
        let of = |trunk| {
            let with = move |(name, clustering): &(String, Settings)| Setting {
                trunk,
                name: name.clone(),
                clustering: clustering.clone(),
            };
            clusterings.iter().map(with)
        };
        Ok(trunks.into_iter().flat_map(of).collect())
    }
}

/// Values of a parameter.
#[derive(Clone, Debug)]
struct Values {
    method: String,
    key: String,
    values: Vec<String>,
}

impl Values {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, values) = text.split_once('=').ok_or("must be METHOD.KEY=VALUES")?;
        let (method, key) = name.split_once('.').ok_or("must be METHOD.KEY=VALUES")?;
        let values = values.split(',').map(str::to_owned).collect();
        Ok(Self { method: method.to_owned(), key: key.to_owned(), values })
    }

    /// The same ways to cluster, those of the method once with each value.
    fn given_to(&self, clusterings: Vec<(String, Settings)>) -> Result<Vec<(String, Settings)>> {
        let mut all = Vec::new();
        let mut known = false;
        for (name, settings) in clusterings {
            if settings.method.name() != self.method {
                all.push((name, settings));
                continue;
            }
            known = true;
            for value in &self.values {
                let mut settings = settings.clone();
                settings.set(&self.key, value)?;
                all.push((format!("{name} {}={value}", self.key), settings));
            }
        }
        if !known {
            bail!("{} is not among the ways to cluster that are scored", self.method);
        }
        Ok(all)
    }
}

/// What is scored.
#[derive(Clone, Debug)]
struct Setting {
    trunk: EmbeddingTrunk,
    name: String,
    clustering: Settings,
}

fn print_row(setting: &Setting, width: usize, score: scoring::Score, rest: &str) {
    let share = |seconds| 100.0 * seconds / score.speech;
    println!(
        "{:>6}  {:width$} {:6.1} % = {:6.1} + {:5.1} + {:8.1}  {rest}",
        setting.trunk.to_string(),
        setting.name,
        100.0 * score.diarization_error_rate(),
        share(score.missed),
        share(score.false_alarm),
        share(score.confused),
    );
}

/// The scores of all recordings together.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    score: scoring::Score,
    right_counts: usize,
    /// That clustering and all after it took.
    seconds: f64,
}

impl Sum {
    fn add(&mut self, score: scoring::Score) {
        self.score += score;
        self.right_counts += usize::from(score.speaker_count_error == 0);
    }
}
