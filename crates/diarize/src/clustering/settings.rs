//! Clustering settings, and accessing them by name as in a manifest.

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{Agglomerative, KMeans, Method, Neighbors, Online, Spectral, Vbx};
use crate::{Error, Result, compat::Compat};

/// Maximum number of runs of k-means. Far more than help, and few enough to fit into memory.
const MAX_RUNS: usize = 10_000;

/// How local speakers are clustered into speakers of the recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Settings {
    /// The clustering method.
    pub method: Method,
    /// Minimum fraction of a chunk for which a local speaker must speak alone for the embedding to be
    /// clustered; the others are only assigned afterwards. With 0, all active local speakers are clustered.
    pub min_alone: f64,
    /// How all local speakers are assigned to the clusters.
    pub assignment: Assignment,
    /// Whether to reproduce pyannote's behavior where it fails or is surprising.
    pub compat: Compat,
}

/// How local speakers are assigned to clusters, given the similarities between embeddings and centroids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Assignment {
    /// Assign each local speaker to the nearest cluster.
    Nearest,
    /// Assign the local speakers of a chunk to distinct clusters, since the network considers them
    /// different people. The assignment maximizes the total similarity. If there are fewer clusters than
    /// local speakers, those left over belong to none. If the number of speakers was forced by the bounds
    /// with VBx, same as `Nearest`.
    Distinct,
}

impl Settings {
    /// The settings of pyannote/speaker-diarization-3.1 with pyannote.audio 3.3.
    pub fn speaker_diarization_3_1() -> Self {
        Self {
            method: Method::Agglomerative(Agglomerative::default()),
            min_alone: 0.0,
            assignment: Assignment::Nearest,
            compat: Compat::Off,
        }
    }

    /// The settings of pyannote/speaker-diarization-community-1 with pyannote.audio 4.0.
    pub fn community_1() -> Self {
        Self {
            method: Method::Vbx(Vbx::default()),
            min_alone: 0.2,
            assignment: Assignment::Distinct,
            compat: Compat::Off,
        }
    }

    /// The same settings with another method.
    #[must_use]
    pub fn with_method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// Default settings for a method by name (one of [`Method::NAMES`]): VBx as in [`Self::community_1`],
    /// the others as in [`Self::speaker_diarization_3_1`]. `None` if the name is unknown.
    pub fn named(name: &str) -> Option<Self> {
        let defaults = Self::speaker_diarization_3_1();
        Some(match name {
            "agglomerative" => defaults,
            "vbx" => Self::community_1(),
            "kmeans" => Self { method: Method::KMeans(KMeans::default()), ..defaults },
            "spectral" => Self { method: Method::Spectral(Spectral::default()), ..defaults },
            "online" => Self { method: Method::Online(Online::default()), ..defaults },
            _ => return None,
        })
    }

    /// Sets one parameter by its name in a manifest: `min_alone`, `assignment`, or a parameter of the
    /// method, with or without its name before it (`vbx.fb`); those in a nested table use dots (`kmeans.seed`). `value` is
    /// in TOML syntax; quotes around strings are optional.
    ///
    /// # Errors
    /// If the method does not have this parameter, or the value is invalid.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let wrong = |reason: String| Error::Setting { setting: format!("{key}={value}"), reason };
        if self.get(key).is_none() {
            let (method, keys) = (self.method.name(), self.keys().join(", "));
            return Err(wrong(format!("{method} has no such parameter; its parameters are {keys}")));
        }
        let parsed = toml::from_str::<Table>(&format!("value = {value}")).ok();
        let parsed = parsed.filter(|table| table.len() == 1).and_then(|mut table| table.remove("value"));
        let parsed = parsed.unwrap_or_else(|| Value::String(value.to_owned()));

        let mut settings = Table::try_from(&*self).map_err(|error| wrong(error.to_string()))?;
        let path = self.path(key);
        let (last, tables) = path.split_last().expect("a split has at least one part");
        let mut table = &mut settings;
        for name in tables {
            table = table
                .get_mut(*name)
                .and_then(Value::as_table_mut)
                .ok_or_else(|| wrong(format!("{} has no `{name}`", self.method.name())))?;
        }
        let kind = match table.insert((*last).to_owned(), parsed) {
            Some(Value::Float(_)) => Some("it must be a number"),
            Some(Value::Integer(_)) => Some("it must be a whole number, 0 or more"),
            _ if *last == "neighbors" => Some("it must be auto, { share = 0.1 } or { count = 50 }"),
            _ => None,
        };
        let settings: Self = settings.try_into().map_err(|error: toml::de::Error| {
            wrong(kind.unwrap_or_else(|| error.message()).replace("unknown variant", "unknown value"))
        })?;
        settings.check()?;
        *self = settings;
        Ok(())
    }

    /// Reads one parameter by its name, as in [`Self::set`]; `None` if there is no such parameter.
    ///
    /// # Panics
    /// Never: settings can be serialized as TOML.
    pub fn get(&self, key: &str) -> Option<String> {
        let settings = Value::try_from(self).expect("settings are valid TOML");
        let value = self.path(key).into_iter().try_fold(&settings, |table, name| table.get(name))?;
        Some(match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        })
    }

    /// The names of all parameters, as in [`Self::set`].
    fn keys(&self) -> Vec<String> {
        let table = Table::try_from(self).expect("settings are valid TOML");
        let method =
            table.get("method").and_then(|method| method.get(self.method.name())).and_then(Value::as_table);
        let mut keys = vec!["min_alone".to_owned(), "assignment".to_owned()];
        for (key, value) in method.into_iter().flatten() {
            match value {
                Value::Table(nested) if key == "kmeans" => {
                    keys.extend(nested.keys().map(|inner| format!("{key}.{inner}")));
                }
                _ => keys.push(key.clone()),
            }
        }
        keys
    }

    /// Path of a parameter in the manifest's clustering table.
    fn path<'a>(&self, key: &'a str) -> Vec<&'a str> {
        let own = key.strip_prefix(self.method.name()).and_then(|key| key.strip_prefix('.'));
        let mut path: Vec<&str> = own.unwrap_or(key).split('.').collect();
        if !matches!(key, "min_alone" | "assignment") {
            path.splice(..0, ["method", self.method.name()]);
        }
        path
    }

    /// Checks that all numbers are in range.
    pub(crate) fn check(&self) -> Result<()> {
        share("min_alone", self.min_alone)?;
        match &self.method {
            Method::Agglomerative(Agglomerative {
                linkage: _,
                threshold,
                min_cluster_size,
                max_embeddings,
            }) => {
                not_negative("threshold", *threshold)?;
                at_least_one("min_cluster_size", *min_cluster_size)?;
                at_least_one("max_embeddings", *max_embeddings)
            }
            Method::Vbx(Vbx {
                threshold,
                fa,
                fb,
                fb_exponent,
                merge_distance,
                lda_dimension,
                max_iterations,
                max_embeddings,
                kmeans,
            }) => {
                not_negative("threshold", *threshold)?;
                positive("fa", *fa)?;
                positive("fb", *fb)?;
                share("fb_exponent", *fb_exponent)?;
                not_negative("merge_distance", *merge_distance)?;
                at_least_one("lda_dimension", *lda_dimension)?;
                at_least_one("max_iterations", *max_iterations)?;
                at_least_one("max_embeddings", *max_embeddings)?;
                check_kmeans(kmeans)
            }
            Method::KMeans(kmeans) => check_kmeans(kmeans),
            Method::Spectral(Spectral { neighbors, max_speakers, max_embeddings, kmeans }) => {
                match *neighbors {
                    Neighbors::Share(neighbors) => {
                        positive("neighbors", neighbors)?;
                        share("neighbors", neighbors)?;
                    }
                    Neighbors::Count(neighbors) => at_least_one("neighbors", neighbors)?,
                    Neighbors::Auto => {}
                }
                at_least_one("max_speakers", *max_speakers)?;
                at_least_one("max_embeddings", *max_embeddings)?;
                check_kmeans(kmeans)
            }
            Method::Online(Online { threshold, delay: _, support }) => {
                not_negative("threshold", *threshold)?;
                at_least_one("support", *support)
            }
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::speaker_diarization_3_1()
    }
}

impl Method {
    /// Names of the methods in manifests.
    pub const NAMES: [&str; 5] = ["agglomerative", "vbx", "kmeans", "spectral", "online"];

    /// Name of the method in manifests.
    pub fn name(&self) -> &'static str {
        match self {
            Method::Agglomerative(_) => "agglomerative",
            Method::Vbx(_) => "vbx",
            Method::KMeans(_) => "kmeans",
            Method::Spectral(_) => "spectral",
            Method::Online(_) => "online",
        }
    }
}

fn check_kmeans(&KMeans { runs, max_iterations, seed: _ }: &KMeans) -> Result<()> {
    require((1..=MAX_RUNS).contains(&runs), "kmeans.runs", runs, "a number from 1 to 10000")?;
    at_least_one("kmeans.max_iterations", max_iterations)
}

fn not_negative(option: &'static str, value: f64) -> Result<()> {
    require(value.is_finite() && value >= 0.0, option, value, "a non-negative number")
}

fn positive(option: &'static str, value: f64) -> Result<()> {
    require(value.is_finite() && value > 0.0, option, value, "a positive number")
}

fn share(option: &'static str, value: f64) -> Result<()> {
    require((0.0..=1.0).contains(&value), option, value, "a fraction from 0 to 1")
}

fn at_least_one(option: &'static str, value: usize) -> Result<()> {
    require(value > 0, option, value, "at least 1")
}

fn require(holds: bool, option: &'static str, value: impl ToString, requirement: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::InvalidOption { option, value: value.to_string(), requirement }) }
}

#[cfg(test)]
mod tests {
    use diarize_kernels::linkage::Linkage;

    use super::{Method, Neighbors, Settings};

    #[test]
    fn every_method_has_a_name_and_round_trips_through_toml() {
        for name in Method::NAMES {
            let settings = Settings::named(name).unwrap();
            assert_eq!(settings.method.name(), name);
            let text = toml::to_string(&settings).unwrap();
            assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings, "{text}");
        }
        assert_eq!(Settings::named("k-means"), None);
        assert_eq!(toml::from_str::<Settings>("").unwrap(), Settings::speaker_diarization_3_1());
    }

    #[test]
    fn parameters_are_set_by_name() {
        let set = |name, pairs: &[(&str, &str)]| {
            let mut settings = Settings::named(name).unwrap();
            pairs.iter().try_for_each(|(key, value)| settings.set(key, value)).map(|()| settings)
        };
        let found = set("agglomerative", &[("linkage", "ward"), ("threshold", "1"), ("min_alone", "0.1")]);
        let found = found.unwrap();
        let Method::Agglomerative(parameters) = found.method else { panic!() };
        assert_eq!((parameters.linkage, parameters.threshold, found.min_alone), (Linkage::Ward, 1.0, 0.1));
        let mut found = set("spectral", &[("neighbors", "{ share = 0.25 }"), ("kmeans.seed", "7")]).unwrap();
        let Method::Spectral(parameters) = found.method else { panic!() };
        assert_eq!((parameters.neighbors, parameters.kmeans.seed), (Neighbors::Share(0.25), 7));
        assert_eq!(found.get("kmeans.seed").as_deref(), Some("7"));
        assert_eq!(found.get("assignment").as_deref(), Some("nearest"));
        assert_eq!((found.get("threshold"), found.get("kmeans.threshold")), (None, None));
        found.set("spectral.kmeans.seed", "8").unwrap();
        assert_eq!(found.get("kmeans.seed").as_deref(), Some("8"));
    }

    #[test]
    fn invalid_values_are_rejected_with_the_reason() {
        for (method, key, value, said) in [
            (
                "agglomerative",
                "fa",
                "0.1",
                "agglomerative has no such parameter; its parameters are min_alone, assignment, ",
            ),
            ("agglomerative", "threshold", "near", "near"),
            ("agglomerative", "threshold", "nan", "threshold is NaN"),
            ("agglomerative", "linkage", "nearest", "nearest"),
            ("agglomerative", "min_alone", "2", "min_alone is 2"),
            ("vbx", "fb", "0", "fb is 0"),
            ("vbx", "kmeans.runs", "9223372036854775807", "kmeans.runs is 9223372036854775807"),
            ("vbx", "fb_exponent", "1.5", "fb_exponent is 1.5"),
            ("kmeans", "kmeans.speed", "1", "kmeans has no such parameter"),
            ("vbx", "kmeans.fb", "1", "vbx has no such parameter"),
            ("spectral", "max_speakers", "-1", "-1"),
        ] {
            let mut settings = Settings::named(method).unwrap();
            for key in settings.keys() {
                let value = settings.get(&key).unwrap();
                settings.set(&key, &value).unwrap();
            }
            let before = settings.clone();
            let error = settings.set(key, value).unwrap_err().to_string();
            assert!(error.contains(said), "{key}={value}: {error}");
            assert_eq!(settings, before);
        }
    }
}
