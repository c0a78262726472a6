//! `cargo xtask score`: measures the pipeline's accuracy on labeled recordings.

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

use crate::labeled::{Labeled, Recording};

/// Diarize recordings and print the diarization error rate (no collar, overlap scored)
///
/// Uses every WAV file (16 kHz, mono) in the folders that is named in an RTTM file in the same folder. With several
/// clustering methods or parameters, the networks run only once.
#[derive(Args, Debug)]
pub struct Score {
    #[command(flatten)]
    labeled: Labeled,
    /// Input of the embedding network's trunk: chunk or shared [default: the model's setting]
    ///
    /// If both are given, their turns are also compared with each other.
    #[arg(long, value_delimiter = ',')]
    embedding_trunk: Vec<EmbeddingTrunk>,
    /// How to determine who speaks in a frame: votes or voices [default: the model's setting; votes with trunk chunk]
    #[arg(long)]
    reconstruction: Option<Reconstruction>,
    /// Clustering methods to compare, each with its default parameters [default: the model's settings]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = PossibleValuesParser::new(Method::NAMES).map(|name| Settings::named(&name).expect("the parser accepts only known names")))]
    clustering: Vec<Settings>,
    /// Values of a clustering parameter to compare, such as online.threshold=0.3,0.4
    #[arg(long, value_name = "METHOD.KEY=VALUES", value_parser = Values::parse)]
    set: Vec<Values>,
    /// Short for --set agglomerative.threshold=VALUES
    #[arg(long, value_delimiter = ',')]
    threshold: Vec<f64>,
    /// Short for --set agglomerative.min_cluster_size=VALUES
    #[arg(long, value_delimiter = ',')]
    min_cluster_size: Vec<usize>,
    /// Give the pipeline the true number of speakers
    #[arg(long)]
    known_number: bool,
    /// Also print the result of each recording
    #[arg(long)]
    each: bool,
}

impl Score {
    /// Runs the command.
    ///
    /// # Errors
    /// A recording or the model cannot be read, or the device fails.
    pub fn run(&self) -> Result<()> {
        let (diarizer, mut options) = self.labeled.diarizer()?;
        let settings = self.settings(&options)?;
        let mut sums = vec![Sum::default(); settings.len()];
        let mut differences = vec![Sum::default(); settings.len()];
        let width = settings.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
        println!(
            " trunk  {:width$}     DER = missed + false + confused  seconds  speaker count: correct, mean error",
            "clustering"
        );
        for recording in self.labeled.recordings()? {
            let Recording { name: recording, samples, truth } = recording?;
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
                let mut listener = diarizer.listen(&options)?;
                listener.push(&samples)?;
                let embedded = listener.embedded()?;
                for setting in same_trunk {
                    let sum = &mut sums[found.len()];
                    let start = Instant::now();
                    let mut options = options.clone();
                    options.parameters.clustering = setting.clustering.clone();
                    found.push(embedded.cluster(&options)?.turns);
                    sum.seconds += start.elapsed().as_secs_f64();
                }
            }
            for ((setting, sum), turns) in settings.iter().zip(&mut sums).zip(&found) {
                let score = compare(&truth, turns, None, &Rules::default()).score;
                sum.add(score);
                if self.each {
                    let (found, expected) = (score.speakers_found, score.speakers);
                    print_row(setting, width, score, &format!("{found} of {expected}  {recording}"));
                }
            }
            for ((setting, difference), turns) in settings.iter().zip(&mut differences).zip(&found) {
                let other = settings.iter().position(|other| other.clustering == setting.clustering);
                let first = &found[other.expect("the setting itself matches")];
                difference.add(compare(first, turns, None, &Rules::default()).score);
            }
        }
        for (setting, sum) in settings.iter().zip(&sums) {
            let recordings = sum.score.recordings as f64;
            let share = 100.0 * sum.correct_counts as f64 / recordings;
            let error = sum.score.speaker_count_error as f64 / recordings;
            let rest = format!("{:7.2}  {share:.1} % of {recordings}, {error:.2}", sum.seconds);
            print_row(setting, width, sum.score, &rest);
        }
        let others =
            settings.iter().zip(&differences).filter(|(setting, _)| setting.trunk != settings[0].trunk);
        for (setting, difference) in others {
            let rest = format!("relative to {}", settings[0].trunk);
            print_row(setting, width, difference.score, &rest);
        }
        Ok(())
    }

    /// All combinations of trunks, clustering methods and parameter values to score.
    fn settings(&self, own: &Options) -> Result<Vec<Setting>> {
        let own = &own.parameters;
        let trunks = match self.embedding_trunk.as_slice() {
            [] => vec![own.embedding_trunk],
            trunks => trunks.to_vec(),
        };
        let mut clusterings: Vec<(String, Settings)> = match self.clustering.as_slice() {
            [] => vec![own.clustering.clone()],
            // For the model's own method, its parameters are better than the defaults.
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
            clusterings = values.apply(clusterings)?;
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

/// Values of a clustering parameter.
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

    /// Replaces the settings of this method by one copy for each value.
    fn apply(&self, clusterings: Vec<(String, Settings)>) -> Result<Vec<(String, Settings)>> {
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
            bail!("{} is not among the clustering methods to score", self.method);
        }
        Ok(all)
    }
}

/// A configuration to score.
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

/// The totals over all recordings.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    score: scoring::Score,
    /// Recordings with the correct number of speakers.
    correct_counts: usize,
    /// Time for clustering and everything after it.
    seconds: f64,
}

impl Sum {
    fn add(&mut self, score: scoring::Score) {
        self.score += score;
        self.correct_counts += usize::from(score.speaker_count_error == 0);
    }
}
