//! `cargo xtask score`: how right the pipeline is, on recordings whose turns are known.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use diarize::{
    Device, Diarization, Diarizer, EmbeddingTrunk, Options, Parameters, SpeakerBounds, Turn,
    clustering::{Agglomerative, Compat, Method, Settings, cluster_speakers},
    reconstruct::{mark_inactive, reconstruct},
    scoring::{self, Rules, compare},
    turns::{parse_rttm, turns},
};

use crate::recording::read_wav;

/// Diarizes recordings and prints the diarization error rate: no collar, overlap scored
///
/// Every WAV file (16 kHz, one channel) in the folders is taken of which an RTTM file beside it
/// knows. With several thresholds or cluster sizes the networks run once for all of them.
#[derive(Args, Debug)]
pub struct Score {
    /// Folders of WAV and RTTM files
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    /// Model directory
    #[arg(long, default_value = "weights/default")]
    model: PathBuf,
    /// auto, cpu, metal or cuda[:N]
    #[arg(long, default_value = "auto")]
    device: Device,
    /// What the embedding network runs over, chunk or shared [default: the model's own]
    ///
    /// With both, the turns are compared with each other as well.
    #[arg(long, value_delimiter = ',')]
    embedding_trunk: Vec<EmbeddingTrunk>,
    /// Processor threads; all where absent
    #[arg(long)]
    threads: Option<usize>,
    /// Clustering thresholds to compare [default: the model's own]
    #[arg(long, value_delimiter = ',')]
    threshold: Vec<f64>,
    /// Smallest cluster sizes to compare [default: the model's own]
    #[arg(long, value_delimiter = ',')]
    min_cluster_size: Vec<usize>,
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
        let diarizer = Diarizer::load(&self.model, self.device)?;
        let mut options = diarizer.options();
        options.threads = self.threads;
        let settings = self.settings(&options.parameters)?;
        let mut sums = vec![Sum::default(); settings.len()];
        let mut differences = vec![Sum::default(); settings.len()];
        println!(" trunk  threshold  size      DER = missed + false + confused    speakers");
        for (wav, truth) in self.recordings()? {
            let samples = read_wav(&wav).with_context(|| format!("cannot read {}", wav.display()))?;
            let mut found: Vec<Vec<Turn>> = Vec::new();
            for same_trunk in settings.chunk_by(|a, b| a.trunk == b.trunk) {
                options.parameters.embedding_trunk = same_trunk[0].trunk;
                let diarization = diarizer.diarize_with(&samples, &options, &mut |_| {})?;
                for setting in same_trunk {
                    found.push(clustered_again(&diarization, &options, setting.clustering)?);
                }
            }
            for ((setting, sum), turns) in settings.iter().zip(&mut sums).zip(&found) {
                let score = compare(&truth, turns, None, &Rules::default()).score;
                sum.add(score);
                if self.each {
                    let (found, right) = (score.speakers_found, score.speakers);
                    let name = wav.file_stem().unwrap_or_default().to_string_lossy();
                    print_row(setting, score, &format!("{found} of {right}  {name}"));
                }
            }
            for ((setting, difference), turns) in settings.iter().zip(&mut differences).zip(&found) {
                let other = settings.iter().position(|other| other.clustering == setting.clustering);
                let first = &found[other.expect("at least itself")];
                difference.add(compare(first, turns, None, &Rules::default()).score);
            }
        }
        for (setting, sum) in settings.iter().zip(&sums) {
            let share = 100.0 * sum.right_counts as f64 / sum.score.recordings as f64;
            print_row(setting, sum.score, &format!("right in {share:.1} % of {}", sum.score.recordings));
        }
        let others =
            settings.iter().zip(&differences).filter(|(setting, _)| setting.trunk != settings[0].trunk);
        for (setting, difference) in others {
            print_row(setting, difference.score, &format!("as if {} were the truth", settings[0].trunk));
        }
        Ok(())
    }

    fn settings(&self, own: &Parameters) -> Result<Vec<Setting>> {
        let trunks = match self.embedding_trunk.as_slice() {
            [] => vec![own.embedding_trunk],
            trunks => trunks.to_vec(),
        };
        let Method::Agglomerative(own) = own.clustering.method else {
            bail!("only models with agglomerative clustering are scored");
        };
        let or = |given: &[f64], own| if given.is_empty() { vec![own] } else { given.to_vec() };
        let sizes = match self.min_cluster_size.as_slice() {
            [] => vec![own.min_cluster_size],
            sizes => sizes.to_vec(),
        };
        let thresholds = or(&self.threshold, own.threshold);
        let pair = |threshold| {
            sizes.iter().map(move |&min_cluster_size| Agglomerative { threshold, min_cluster_size, ..own })
        };
        let clusterings: Vec<Agglomerative> = thresholds.into_iter().flat_map(pair).collect();
        let of = |trunk| clusterings.iter().map(move |&clustering| Setting { trunk, clustering });
        Ok(trunks.into_iter().flat_map(of).collect())
    }

    /// The recordings of all folders with their turns, by name.
    fn recordings(&self) -> Result<Vec<(PathBuf, Vec<Turn>)>> {
        let mut recordings = Vec::new();
        for folder in &self.folders {
            let read = || format!("cannot read {}", folder.display());
            for rttm in files(folder, "rttm").with_context(read)? {
                let text = fs::read_to_string(&rttm).with_context(read)?;
                for (name, turns) in parse_rttm(&text).with_context(|| format!("in {}", rttm.display()))? {
                    let wav = folder.join(name + ".wav");
                    if wav.exists() {
                        recordings.push((wav, turns));
                    }
                }
            }
        }
        ensure!(!recordings.is_empty(), "no WAV file with an RTTM file that knows it");
        recordings.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(recordings)
    }
}

/// What is scored.
#[derive(Clone, Copy, Debug)]
struct Setting {
    trunk: EmbeddingTrunk,
    clustering: Agglomerative,
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
    Ok(files)
}

/// The turns with other parameters of the clustering, from the same answers of the networks.
fn clustered_again(
    diarization: &Diarization,
    options: &Options,
    clustering: Agglomerative,
) -> Result<Vec<Turn>> {
    let stages = &diarization.stages;
    let Some(embeddings) = &stages.embeddings else { return Ok(diarization.turns.clone()) };
    let segmentations = stages.segmentations.view(); // (chunk, frame, local speaker)
    let bounds = SpeakerBounds { min: 1, max: None };
    let settings =
        Settings { method: Method::Agglomerative(clustering), ..options.parameters.clustering.clone() };
    let clusters = cluster_speakers(embeddings.view(), segmentations, bounds, &settings, None)?;
    let most = (settings.compat == Compat::Off).then_some(clusters.centroids.nrows());
    let mut hard = clusters.hard; // (chunk, local speaker)
    mark_inactive(&mut hard, segmentations);
    let count = stages.speaker_count.view(); // (frame,)
    let discrete = reconstruct(segmentations, hard.view(), count, most, stages.chunks, stages.frames); // (frame, cluster)
    let parameters = &options.parameters;
    let (on, off) = (parameters.min_duration_on, parameters.min_duration_off);
    Ok(turns(discrete.view(), stages.frames, on, off, settings.compat).0)
}

fn print_row(setting: &Setting, score: scoring::Score, rest: &str) {
    let share = |seconds| 100.0 * seconds / score.speech;
    println!(
        "{:>6}  {:9.4} {:5} {:6.1} % = {:6.1} + {:5.1} + {:8.1}    {rest}",
        setting.trunk.to_string(),
        setting.clustering.threshold,
        setting.clustering.min_cluster_size,
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
}

impl Sum {
    fn add(&mut self, score: scoring::Score) {
        self.score += score;
        self.right_counts += usize::from(score.speaker_count_error == 0);
    }
}
