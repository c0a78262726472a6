//! Hyper-parameters on the command line.

use std::num::NonZeroUsize;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use diarize::{
    Decoding, EmbeddingTrunk, Options, Reconstruction,
    clustering::{Method, Pyannote, Settings},
};

use crate::{
    commands::conflict,
    failure,
    numbers::{count, distance, positive, seconds},
};

/// Hyper-parameters that replace the model's own.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Hyper-parameters [default: the model's own]")]
pub struct Overrides {
    /// Distance below which voices are merged; with vbx, this only gives the first guess
    ///
    /// The method of the bundled model is vbx. There, `--num-speakers`, `--min-speakers` and `--max-speakers` change
    /// more.
    #[arg(long, value_name = "DISTANCE", value_parser = distance)]
    threshold: Option<f64>,
    /// Merge clusters smaller than this into the nearest larger one (--clustering agglomerative)
    #[arg(long, value_name = "N", value_parser = count::<1_000_000>)]
    min_cluster_size: Option<NonZeroUsize>,
    /// Method that clusters voices into speakers; parameters that the model does not set have defaults
    ///
    /// agglomerative: merges the nearest clusters up to a threshold, as speaker-diarization-3.1 does. Its
    /// parameters are linkage, threshold, min_cluster_size and max_embeddings. The linkage is centroid, median,
    /// average, weighted, complete, single or ward; each linkage needs its own threshold.
    ///
    /// vbx: variational Bayes, as speaker-diarization-community-1 does, for models with a PLDA. Its
    /// parameters are threshold, fa, fb, fb_exponent, merge_distance, lda_dimension, max_iterations,
    /// max_embeddings, kmeans.runs, kmeans.max_iterations and kmeans.seed.
    ///
    /// kmeans: for a known number of speakers. Its parameters are runs, max_iterations and seed.
    ///
    /// spectral: needs no threshold. Its parameters are neighbors (auto, "{ share = 0.1 }" or
    /// "{ count = 50 }"), max_speakers, max_embeddings, kmeans.runs, kmeans.max_iterations and kmeans.seed.
    ///
    /// online: assigns voices in time order, after a fixed delay. Its parameters are threshold, delay and support.
    ///
    /// --set changes these parameters, and two more that all methods have. min_alone is the fraction of a chunk that a voice must speak
    /// alone before it may form a cluster. assignment is nearest or distinct; with distinct, different voices of
    /// one chunk are always different speakers.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Method::NAMES))]
    clustering: Option<String>,
    /// Set a clustering parameter, such as threshold=0.6; can be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Behave exactly as this version of pyannote, even where that is surprising or an error
    ///
    /// Without this option, the number of people who speak at once never exceeds the number of speakers
    /// found; speakers are numbered in the order of their clusters (pyannote sorts the cluster numbers as text:
    /// 0, 1, 10, 2); and if more speakers are requested than can be distinguished, as many as possible are found.
    #[arg(long, value_name = "VERSION", value_enum)]
    compat: Option<Version>,
    /// How to choose the set of active speakers from the segmentation network's probabilities
    ///
    /// argmax: the most probable set, as pyannote does.
    ///
    /// least_error: the set with the lowest expected error. It reports speech even where it is unclear who
    /// speaks, or whether one person speaks or two.
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(["argmax", "least_error"]).try_map(|name| name.parse::<Decoding>()))]
    decoding: Option<Decoding>,
    /// Whether the embedding network, nearly all of the work, runs on each chunk or on the whole recording
    ///
    /// chunk: on each chunk by itself, as pyannote does; the default for converted models.
    ///
    /// shared: once on the whole recording, for all chunks. It is several times faster, and embeddings differ
    /// slightly; the default for the bundled model.
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(["chunk", "shared"]).try_map(|name| name.parse::<EmbeddingTrunk>()))]
    embedding_trunk: Option<EmbeddingTrunk>,
    /// Whether the embedding of a speaker leaves out the time in which others speak too, if enough is left
    /// [default: from the model; true in the bundled model]
    #[arg(long, value_name = "BOOL")]
    embedding_exclude_overlap: Option<bool>,
    /// How to decide which speakers speak in a frame
    ///
    /// votes: by the number of overlapping chunks in which each of them speaks there, as pyannote does; the
    /// default for converted models and with --embedding-trunk chunk.
    ///
    /// voices: by the fraction of these chunks, and by the similarity to the voice in the second around the
    /// frame. It needs --embedding-trunk shared; the default for the bundled model.
    #[arg(long, value_name = "MODE", value_parser = PossibleValuesParser::new(["votes", "voices"]).try_map(|name| name.parse::<Reconstruction>()))]
    reconstruction: Option<Reconstruction>,
    /// Drop turns shorter than this
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    min_duration_on: Option<f64>,
    /// Fill pauses between a speaker's turns shorter than this
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    min_duration_off: Option<f64>,
    /// Time from the start of one chunk to the start of the next
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    step: Option<f64>,
}

/// A version of pyannote.audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Version {
    /// As 3.3: every local speaker may seed a cluster, and each voice goes to the nearest cluster
    #[value(name = "pyannote-3.3")]
    Pyannote3_3,
    /// As 4.0: only local speakers who speak alone for a fifth of a chunk may seed a cluster
    #[value(name = "pyannote-4.0")]
    Pyannote4_0,
}

impl From<Version> for Pyannote {
    fn from(version: Version) -> Self {
        match version {
            Version::Pyannote3_3 => Pyannote::V3_3,
            Version::Pyannote4_0 => Pyannote::V4_0,
        }
    }
}

impl Overrides {
    /// Applies the given hyper-parameters to the options; `chunk` is the length of the model's chunks in
    /// seconds.
    pub fn apply(&self, options: &mut Options, chunk: f64) -> anyhow::Result<()> {
        let steps = chunk / 1000.0..=chunk;
        if let Some(step) = self.step.filter(|step| !steps.contains(step)) {
            let least = steps.start();
            return Err(conflict(format!(
                "--step is {step} s, but must be from {least} to {chunk} s with this model"
            ))
            .into());
        }
        let parameters = &mut options.parameters;
        if let Some(name) =
            self.clustering.as_deref().filter(|name| *name != parameters.clustering.method.name())
        {
            parameters.clustering = Settings::named(name).expect("the parser accepts only names of methods");
        }
        if let Some(version) = self.compat {
            parameters.reproduce(version.into()).map_err(|_| {
                conflict(
                    "--compat pyannote-3.3 does not fit vbx, the clustering method here: use a model of that version with \
                     --model 3.1, or --compat pyannote-4.0",
                )
            })?;
        }
        self.set_clustering(&mut parameters.clustering)?;
        parameters.decoding = self.decoding.unwrap_or(parameters.decoding);
        parameters.set_embedding_trunk(self.embedding_trunk.unwrap_or(parameters.embedding_trunk));
        parameters.embedding_exclude_overlap =
            self.embedding_exclude_overlap.unwrap_or(parameters.embedding_exclude_overlap);
        if self.reconstruction == Some(Reconstruction::Voices)
            && self.embedding_trunk.is_none()
            && parameters.embedding_trunk == EmbeddingTrunk::Chunk
        {
            let chosen = if self.compat.is_some() { "--compat" } else { "the model" };
            return Err(conflict(format!(
                "--reconstruction voices needs --embedding-trunk shared, but {chosen} sets chunk: add that option, or leave out \
                 --reconstruction"
            ))
            .into());
        }
        parameters.reconstruction = self.reconstruction.unwrap_or(parameters.reconstruction);
        parameters.min_duration_on = self.min_duration_on.unwrap_or(parameters.min_duration_on);
        parameters.min_duration_off = self.min_duration_off.unwrap_or(parameters.min_duration_off);
        parameters.segmentation_step = self.step.map_or(parameters.segmentation_step, |step| step / chunk);
        Ok(())
    }

    /// An option that concerns clustering, if any is given.
    pub fn clustering_option(&self) -> Option<&'static str> {
        let options = [
            ("--threshold", self.threshold.is_some()),
            ("--min-cluster-size", self.min_cluster_size.is_some()),
            ("--clustering", self.clustering.is_some()),
            ("--set", !self.set.is_empty()),
            ("--compat", self.compat.is_some()),
            ("--embedding-trunk", self.embedding_trunk.is_some()),
            ("--embedding-exclude-overlap", self.embedding_exclude_overlap.is_some()),
            ("--reconstruction", self.reconstruction.is_some()),
        ];
        options.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }

    /// Any of the options, if one is given.
    pub fn option(&self) -> Option<&'static str> {
        let options = [
            ("--decoding", self.decoding.is_some()),
            ("--step", self.step.is_some()),
            ("--min-duration-on", self.min_duration_on.is_some()),
            ("--min-duration-off", self.min_duration_off.is_some()),
        ];
        let given = options.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option);
        self.clustering_option().or(given)
    }

    fn set_clustering(&self, settings: &mut Settings) -> anyhow::Result<()> {
        if let Some(threshold) = self.threshold {
            let refused = |error| failure::refused(&format!("--threshold {threshold}"), error);
            settings.set("threshold", &threshold.to_string()).map_err(refused)?;
        }
        if let Some(size) = self.min_cluster_size {
            let method = settings.method.name();
            if method != "agglomerative" {
                return Err(conflict(format!(
                    "--min-cluster-size is for agglomerative clustering, but the method is {method}: add --clustering \
                     agglomerative"
                ))
                .into());
            }
            settings.set("min_cluster_size", &size.to_string())?;
        }
        for (key, value) in &self.set {
            let refused = |error| failure::refused(&format!("--set {key}={value}"), error);
            settings.set(key, value).map_err(refused)?;
        }
        Ok(())
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE, such as threshold=0.6")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
