//! Reads the `config.yaml` of a pipeline. Unknown keys are errors, because ignoring one would silently change the
//! result.
//!
//! Source: `Pipeline.from_pretrained` in `pyannote/audio/core/pipeline.py` and the constructor of
//! `SpeakerDiarization`, versions 2.1 to 4.0.

use diarize::{
    Parameters,
    clustering::{Agglomerative, Method, Settings, Vbx},
};
use serde::{Deserialize, de::IgnoredAny};

/// Why a configuration cannot be converted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// The text is not valid YAML or has unknown keys.
    #[error("{0}")]
    Yaml(String),
    /// The pipeline is not a diarization pipeline.
    #[error(
        "the pipeline is {0}, but only SpeakerDiarization can be converted; with such a pipeline, `vad` and `overlap` find speech and overlapping speech, too"
    )]
    Pipeline(String),
    /// A setting that diarize does not support.
    #[error("{name} is {value}: {reason}")]
    Unsupported {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// Why it is not supported.
        reason: &'static str,
    },
    /// A required setting is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A model of a repository's configuration is neither a repository nor a path inside this one.
    #[error(
        "{name} is {value}: not the name of a hub repository; a path inside the same repository is $model/{value}"
    )]
    NotARepository {
        /// The setting that names the model.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// A model does not exist.
    #[error("{name} is {value}: no such file or directory, and not the name of a hub repository")]
    NoSuchModel {
        /// The setting that names the model.
        name: &'static str,
        /// Its value.
        value: String,
    },
}

/// Maximum size of a configuration in bytes.
pub(crate) const MAX_CONFIG: usize = 1 << 20;

/// The contents of a configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) segmentation: Reference,
    pub(crate) embedding: Reference,
    /// The PLDA, if clustering uses VBx.
    pub(crate) plda: Option<Reference>,
    pub(crate) parameters: Parameters,
    /// Onset and offset threshold of networks without a powerset.
    pub(crate) threshold: Option<f64>,
}

/// A reference to a model.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum Reference {
    Text(String),
    Parts {
        checkpoint: String,
        #[serde(default)]
        subfolder: Option<String>,
        #[serde(default)]
        revision: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: Option<IgnoredAny>,
    #[serde(rename = "dependencies")]
    _dependencies: Option<IgnoredAny>,
    pipeline: Pipeline,
    #[serde(default)]
    params: Params,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pipeline {
    name: String,
    #[serde(default)]
    params: Constructor,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Constructor {
    segmentation: Option<Reference>,
    segmentation_step: Option<f64>,
    segmentation_batch_size: Option<usize>,
    embedding: Option<Reference>,
    embedding_batch_size: Option<usize>,
    embedding_exclude_overlap: Option<bool>,
    clustering: Option<String>,
    plda: Option<Reference>,
    // The following keys change how pyannote loads or reports, but not its results.
    #[serde(rename = "der_variant")]
    _der_variant: Option<IgnoredAny>,
    #[serde(rename = "legacy")]
    _legacy: Option<IgnoredAny>,
    #[serde(rename = "use_auth_token")]
    _use_auth_token: Option<IgnoredAny>,
    #[serde(rename = "token")]
    _token: Option<IgnoredAny>,
    #[serde(rename = "cache_dir")]
    _cache_dir: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Params {
    clustering: ClusteringParams,
    segmentation: SegmentationParams,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ClusteringParams {
    method: Option<String>,
    threshold: Option<f64>,
    min_cluster_size: Option<usize>,
    #[serde(rename = "Fa")]
    fa: Option<f64>,
    #[serde(rename = "Fb")]
    fb: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SegmentationParams {
    threshold: Option<f64>,
    min_duration_off: Option<f64>,
}

impl Config {
    /// Parses a configuration.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ConfigProblem> {
        if bytes.len() > MAX_CONFIG {
            return Err(ConfigProblem::Yaml(format!("the file has more than {MAX_CONFIG} bytes")));
        }
        // The reader accepts byte-order marks and UTF-16.
        let file: File =
            serde_saphyr::from_reader(bytes).map_err(|error| ConfigProblem::Yaml(error.to_string()))?;
        let Pipeline { name, params: constructor } = file.pipeline;
        if name.rsplit('.').next() != Some("SpeakerDiarization") {
            return Err(ConfigProblem::Pipeline(name));
        }
        let Params { clustering, segmentation } = file.params;
        // Before version 4, pyannote.audio had no PLDA, and its default was agglomerative clustering.
        let default = if constructor.plda.is_some() { "VBxClustering" } else { "AgglomerativeClustering" };
        let mut parameters = Parameters::default();
        parameters.segmentation_step = constructor.segmentation_step.unwrap_or(0.1);
        parameters.segmentation_batch_size = constructor.segmentation_batch_size;
        parameters.embedding_batch_size = constructor.embedding_batch_size;
        parameters.embedding_exclude_overlap = constructor.embedding_exclude_overlap.unwrap_or(false);
        parameters.min_duration_off = segmentation.min_duration_off.unwrap_or(0.0);
        let mut plda = None;
        parameters.clustering = match constructor.clustering.as_deref().unwrap_or(default) {
            "AgglomerativeClustering" => clustering.agglomerative()?,
            "VBxClustering" => {
                plda = Some(constructor.plda.clone().ok_or(ConfigProblem::Missing("pipeline.params.plda"))?);
                clustering.vbx()?
            }
            other => {
                let reason = "only AgglomerativeClustering and VBxClustering are supported";
                let value = other.to_owned();
                return Err(ConfigProblem::Unsupported { name: "clustering", value, reason });
            }
        };
        Ok(Self {
            segmentation: constructor
                .segmentation
                .ok_or(ConfigProblem::Missing("pipeline.params.segmentation"))?,
            embedding: constructor.embedding.ok_or(ConfigProblem::Missing("pipeline.params.embedding"))?,
            plda,
            parameters,
            threshold: segmentation.threshold,
        })
    }
}

impl ClusteringParams {
    fn agglomerative(&self) -> Result<Settings, ConfigProblem> {
        let parameters = Agglomerative {
            threshold: self.threshold.ok_or(ConfigProblem::Missing("params.clustering.threshold"))?,
            min_cluster_size: self
                .min_cluster_size
                .ok_or(ConfigProblem::Missing("params.clustering.min_cluster_size"))?,
            ..Agglomerative::default()
        };
        let mut settings = Settings::speaker_diarization_3_1().with_method(Method::Agglomerative(parameters));
        if let Some(method) = &self.method
            && settings.set("linkage", method).is_err()
        {
            let reason = "there is no such linkage";
            let value = method.to_owned();
            return Err(ConfigProblem::Unsupported { name: "params.clustering.method", value, reason });
        }
        Ok(settings)
    }

    fn vbx(&self) -> Result<Settings, ConfigProblem> {
        let parameters = Vbx {
            threshold: self.threshold.ok_or(ConfigProblem::Missing("params.clustering.threshold"))?,
            fa: self.fa.ok_or(ConfigProblem::Missing("params.clustering.Fa"))?,
            fb: self.fb.ok_or(ConfigProblem::Missing("params.clustering.Fb"))?,
            ..Vbx::default()
        };
        Ok(Settings::community_1().with_method(Method::Vbx(parameters)))
    }
}
