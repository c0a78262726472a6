//! Known speakers: storing their voices in a file, and recognizing them in a recording.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//!
//! use diarize::{
//!     Device, Diarizer, Span,
//!     model::ModelFiles,
//!     voices::{Recognition, Voices},
//! };
//!
//! # fn samples_of(name: &str) -> Vec<f32> { Vec::new() }
//! let files = ModelFiles::read("path/to/model".as_ref())?;
//! let diarizer = Diarizer::from_files(&files, Device::auto())?;
//! let mut voices = Voices::new(&files.manifest.name, files.embedding_fingerprint()?);
//!
//! // A recording in which only Ann speaks: her speech is embedded as one span from its first to its last second.
//! let (alone, options) = (samples_of("Ann"), diarizer.options());
//! let speech = diarizer.activity(1, &alone, &options, |_| ControlFlow::Continue(()))?;
//! if let (Some(first), Some(last)) = (speech.first(), speech.last()) {
//!     let span = Span { start: first.start, end: last.end };
//!     let embeddings = diarizer.embed_spans(&alone, &[span], &options, |_| ControlFlow::Continue(()))?;
//!     if let Some(embedding) = &embeddings[0] {
//!         voices.hear("Ann", embedding, span.end - span.start);
//!     }
//! }
//! std::fs::write("voices.safetensors", voices.to_bytes())?;
//!
//! // Is she in this meeting?
//! let meeting = diarizer.diarize(&samples_of("meeting"))?;
//! let embeddings: Vec<_> = meeting.speakers.iter().map(|speaker| speaker.embedding.as_deref()).collect();
//! let names = voices.recognize(&embeddings, Recognition::default());
//! for (speaker, name) in meeting.speakers.iter().zip(names) {
//!     println!("{} is {}", speaker.label, name.map_or("unknown".to_owned(), |known| known.name));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Voices can only be compared with embeddings of the same network. After [`Voices::from_bytes`], compare
//! [`Voices::fingerprint`] with that of the model.

use std::collections::{BTreeMap, HashMap};

use ndarray::Array2;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::{math::best_assignment, model::Fingerprint};

/// The file format version that this library reads and writes.
const VERSION: u32 = 1;
/// The metadata key in the file; its value is JSON.
const METADATA: &str = "diarize";

/// Named voices, all embedded with the same model.
///
/// In a file, each voice is a tensor named after the person, `(dimension,)` f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Voices {
    /// Name of the model.
    pub model: String,
    /// Fingerprint of the embedding network. Voices embedded by different networks are not comparable.
    pub fingerprint: Fingerprint,
    /// The voices, by name.
    pub people: BTreeMap<String, Voice>,
}

/// A voice.
#[derive(Clone, Debug, PartialEq)]
pub struct Voice {
    /// `(dimension,)`: mean of the length-normalized embeddings, weighted by their duration.
    pub embedding: Vec<f32>,
    /// Total duration of the speech it is based on, in seconds.
    pub seconds: f64,
    /// Number of recordings it is based on.
    pub recordings: usize,
}

/// When a voice is recognized as a known one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recognition {
    /// Minimum cosine similarity.
    pub threshold: f64,
    /// Minimum lead over the similarity to any other known voice.
    pub margin: f64,
}

impl Recognition {
    /// A similarity of at least 0.6, with a lead of at least 0.05.
    pub const DEFAULT: Self = Self { threshold: 0.6, margin: 0.05 };
}

impl Default for Recognition {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A recognized voice.
#[derive(Clone, Debug, PartialEq)]
pub struct Recognized {
    /// The person's name.
    pub name: String,
    /// Cosine similarity to that person's voice.
    pub similarity: f64,
}

/// What is wrong with a voices file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VoicesError {
    /// It is not safetensors.
    #[error("not a complete safetensors file: {0}")]
    NotSafetensors(Box<dyn std::error::Error + Send + Sync>),
    /// It is a safetensors file, but does not contain valid voices.
    #[error("not a voices file: {reason}")]
    NoVoices {
        /// What is missing or invalid.
        reason: String,
    },
    /// It was written by a later version of this library.
    #[error("written by a later version of diarize (format {found}; this one reads {VERSION})")]
    Version {
        /// The version found.
        found: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    version: u32,
    model: String,
    embedding_network: Fingerprint,
    speakers: BTreeMap<String, SpeakerMetadata>,
}

#[derive(Serialize, Deserialize)]
struct SpeakerMetadata {
    seconds: f64,
    recordings: usize,
}

impl Voices {
    /// An empty collection for voices embedded with a model: its name, and
    /// [`ModelFiles::embedding_fingerprint`](crate::model::ModelFiles::embedding_fingerprint).
    pub fn new(model: impl Into<String>, fingerprint: Fingerprint) -> Self {
        Self { model: model.into(), fingerprint, people: BTreeMap::new() }
    }

    /// Parses the content of a voices file.
    ///
    /// # Errors
    /// If the content is not a valid voices file, or is of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VoicesError> {
        let no_voices = |reason: String| VoicesError::NoVoices { reason };
        let damaged = |error: safetensors::SafeTensorError| VoicesError::NotSafetensors(error.into());
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let text = header.metadata().as_ref().and_then(|metadata| metadata.get(METADATA));
        let text = text.ok_or_else(|| no_voices(format!("its metadata has no `{METADATA}`")))?;
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let wrong = |error: serde_json::Error| no_voices(error.to_string());
        let Version { version } = serde_json::from_str(text).map_err(wrong)?;
        if version != VERSION {
            return Err(VoicesError::Version { found: version });
        }
        let metadata: Metadata = serde_json::from_str(text).map_err(wrong)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let mut people = BTreeMap::new();
        for (name, SpeakerMetadata { seconds, recordings }) in metadata.speakers {
            let view = tensors.tensor(&name).map_err(damaged)?;
            let embedding: Vec<f32> =
                view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            let finite = embedding.iter().all(|value| value.is_finite()) && seconds.is_finite();
            if view.dtype() != Dtype::F32 || view.shape().len() != 1 || !finite {
                return Err(no_voices(format!("`{name}` is not a vector of finite f32")));
            }
            people.insert(name, Voice { embedding, seconds, recordings });
        }
        let mut sizes = people.values().map(|voice: &Voice| voice.embedding.len());
        let first = sizes.next();
        if sizes.any(|size| Some(size) != first) {
            return Err(no_voices("its voices have different dimensions".into()));
        }
        Ok(Self { model: metadata.model, fingerprint: metadata.embedding_network, people })
    }

    /// The content of a voices file.
    ///
    /// # Panics
    /// If a person is called `__metadata__`, which safetensors reserves.
    pub fn to_bytes(&self) -> Vec<u8> {
        assert!(!self.people.contains_key("__metadata__"), "a reserved name");
        let metadata =
            |voice: &Voice| SpeakerMetadata { seconds: voice.seconds, recordings: voice.recordings };
        let metadata = Metadata {
            version: VERSION,
            model: self.model.clone(),
            embedding_network: self.fingerprint.clone(),
            speakers: self.people.iter().map(|(name, voice)| (name.clone(), metadata(voice))).collect(),
        };
        let metadata = serde_json::to_string(&metadata).expect("finite numbers and text");
        let values = |voice: &Voice| -> Vec<u8> {
            voice.embedding.iter().flat_map(|value| value.to_le_bytes()).collect()
        };
        let bytes: Vec<(&String, Vec<u8>)> =
            self.people.iter().map(|(name, voice)| (name, values(voice))).collect();
        let tensors = bytes.iter().map(|(name, bytes)| {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes);
            (name, view.expect("the shape is that of the bytes"))
        });
        let metadata = HashMap::from([(METADATA.to_owned(), metadata)]);
        safetensors::serialize(tensors, Some(metadata)).expect("each tensor is one vector")
    }

    /// Adds an embedding `(dimension,)` of `seconds` of speech from one recording, creating the voice if
    /// the name is new.
    ///
    /// # Panics
    /// If the embedding is zero, not finite, or differs in dimension from the known voices, or the duration is not finite.
    pub fn hear(&mut self, name: &str, embedding: &[f32], seconds: f64) {
        let length = norm(embedding);
        assert!(length > 0.0 && length.is_finite(), "an embedding of length {length}");
        assert!(seconds.is_finite(), "{seconds} s of speech");
        let unit = embedding.iter().map(|&value| f64::from(value) / length);
        let Some(voice) = self.people.get_mut(name) else {
            let embedding = unit.map(|value| value as f32).collect();
            self.people.insert(name.to_owned(), Voice { embedding, seconds, recordings: 1 });
            return;
        };
        assert_eq!(voice.embedding.len(), embedding.len(), "the dimension of an embedding");
        let all = voice.seconds + seconds;
        let new = if all > 0.0 { seconds / all } else { 0.5 };
        for (mean, value) in voice.embedding.iter_mut().zip(unit) {
            *mean = ((1.0 - new) * f64::from(*mean) + new * value) as f32;
        }
        voice.seconds = all;
        voice.recordings += 1;
    }

    /// Cosine similarity of an embedding to each known voice, by name. Empty if the embedding is zero.
    ///
    /// # Panics
    /// If the embedding differs in dimension from the known voices.
    pub fn similarities(&self, embedding: &[f32]) -> BTreeMap<&str, f64> {
        let length = norm(embedding);
        let mut similarities = BTreeMap::new();
        for (name, voice) in &self.people {
            assert_eq!(voice.embedding.len(), embedding.len(), "the dimension of an embedding");
            let products = voice.embedding.iter().zip(embedding).map(|(&a, &b)| f64::from(a) * f64::from(b));
            let similarity = products.sum::<f64>() / (length * norm(&voice.embedding));
            if similarity.is_finite() {
                similarities.insert(name.as_str(), similarity);
            }
        }
        similarities
    }

    /// Recognizes the speakers of a recording, given the [embedding](crate::Speaker::embedding) of each if there is one.
    /// Returns a person for each speaker, or `None` for a voice that is not known. No two speakers
    /// get the same name; the assignment maximizes the total similarity above the threshold.
    ///
    /// # Panics
    /// If an embedding differs in dimension from the known voices.
    pub fn recognize(
        &self,
        embeddings: &[Option<&[f32]>],
        recognition: Recognition,
    ) -> Vec<Option<Recognized>> {
        let Recognition { threshold, margin } = recognition;
        let names: Vec<&str> = self.people.keys().map(String::as_str).collect();
        let mut similarities = Array2::from_elem((embeddings.len(), names.len()), f64::NEG_INFINITY); // (speaker, person)
        for (mut row, embedding) in similarities.outer_iter_mut().zip(embeddings) {
            let similar = embedding.map(|embedding| self.similarities(embedding)).unwrap_or_default();
            for (value, name) in row.iter_mut().zip(&names) {
                *value = similar.get(name).copied().unwrap_or(f64::NEG_INFINITY);
            }
        }
        let scores = similarities.mapv(|similarity| (similarity - threshold).max(0.0));
        let recognized = |(speaker, person): (usize, Option<usize>)| {
            let person = person?;
            let row = similarities.row(speaker);
            let others = row.iter().enumerate().filter(|&(other, _)| other != person);
            let nearest_other = others.map(|(_, &similarity)| similarity).fold(f64::NEG_INFINITY, f64::max);
            let similarity = row[person];
            let sure = similarity >= threshold && similarity - nearest_other >= margin;
            sure.then(|| Recognized { name: names[person].to_owned(), similarity })
        };
        best_assignment(scores.view()).into_iter().enumerate().map(recognized).collect()
    }

    /// The two most similar people, if an embedding is similar enough to both, but not clearly more similar to one of them:
    /// then [`Self::recognize`] names neither.
    ///
    /// # Panics
    /// If the embedding differs in dimension from the known voices.
    pub fn undecided(&self, embedding: &[f32], recognition: Recognition) -> Option<[String; 2]> {
        let Recognition { threshold, margin } = recognition;
        let mut similar: Vec<(&str, f64)> = self.similarities(embedding).into_iter().collect();
        similar.retain(|&(_, similarity)| similarity >= threshold);
        similar.sort_by(|one, other| other.1.total_cmp(&one.1));
        match similar[..] {
            [(one, most), (other, second), ..] if most - second < margin => {
                Some([one.to_owned(), other.to_owned()])
            }
            _ => None,
        }
    }
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::{Recognition, Voices, VoicesError};
    use crate::model::Fingerprint;

    const SURE: Recognition = Recognition { threshold: 0.6, margin: 0.05 };

    fn voices(people: &[(&str, [f32; 3])]) -> Voices {
        let mut voices = Voices::new("toy", Fingerprint::of_bytes(b"toy"));
        people.iter().for_each(|(name, embedding)| voices.hear(name, embedding, 10.0));
        voices
    }

    fn names(voices: &Voices, embeddings: &[[f32; 3]], recognition: Recognition) -> Vec<Option<String>> {
        let embeddings: Vec<Option<&[f32]>> =
            embeddings.iter().map(|embedding| Some(embedding.as_slice())).collect();
        let found = voices.recognize(&embeddings, recognition).into_iter();
        found.map(|recognized| Some(recognized?.name)).collect()
    }

    #[test]
    fn a_known_voice_is_named_and_an_unknown_one_is_not() {
        let voices = voices(&[("Ann", [1.0, 0.0, 0.0]), ("Bob", [0.0, 2.0, 0.0])]);
        let found = names(&voices, &[[0.0, 0.0, 1.0], [0.1, 3.0, 0.0], [5.0, 0.2, 0.1]], SURE);
        assert_eq!(found, [None, Some("Bob".to_owned()), Some("Ann".to_owned())]);
        assert_eq!(voices.recognize(&[None], SURE), [None]);
    }

    #[test]
    fn a_voice_between_two_people_is_undecided() {
        let known = voices(&[("Ann", [1.0, 0.0, 0.0]), ("Bob", [1.0, 0.01, 0.0]), ("Zoe", [0.0, 0.0, 1.0])]);
        let between = [1.0, 0.0, 0.1];
        assert_eq!(names(&known, &[between], SURE), [None]);
        assert_eq!(known.undecided(&between, SURE), Some(["Ann", "Bob"].map(str::to_owned)));
        assert_eq!(known.undecided(&[0.1, 0.0, 1.0], SURE), None);
        assert_eq!(known.undecided(&[0.0, 1.0, 0.0], SURE), None);
        assert_eq!(known.undecided(&between, Recognition { margin: 0.0, ..SURE }), None);
    }

    #[test]
    fn each_person_is_assigned_once_maximizing_total_similarity() {
        let known = voices(&[("Ann", [1.0, 0.0, 0.0])]);
        assert_eq!(
            names(&known, &[[1.0, 0.5, 0.0], [1.0, 0.1, 0.0]], SURE),
            [None, Some("Ann".to_owned())],
            "the nearer of two"
        );
        // Both are nearest to Ann; only the second is also similar to Bob.
        let known = voices(&[("Ann", [1.0, 0.0, 0.0]), ("Bob", [0.8, 0.6, 0.0])]);
        let loose = Recognition { margin: -1.0, ..SURE };
        let found = names(&known, &[[1.0, 0.0, 0.3], [0.95, 0.3, 0.0]], loose);
        assert_eq!(found, [Some("Ann".to_owned()), Some("Bob".to_owned())]);
    }

    #[test]
    fn a_voice_between_two_known_ones_is_not_named() {
        let known = voices(&[("Ann", [1.0, 0.0, 0.0]), ("Eve", [0.9, 0.1, 0.0])]);
        assert_eq!(names(&known, &[[1.0, 0.05, 0.0]], SURE), [None]);
        assert_eq!(
            names(&known, &[[1.0, 0.0, 0.0]], Recognition { margin: 0.0, ..SURE }),
            [Some("Ann".to_owned())]
        );
    }

    #[test]
    fn embeddings_are_weighted_by_duration() {
        let mut voices = voices(&[("Ann", [2.0, 0.0, 0.0])]);
        voices.hear("Ann", &[0.0, 7.0, 0.0], 30.0);
        let ann = &voices.people["Ann"];
        assert_eq!(
            (ann.embedding.as_slice(), ann.seconds, ann.recordings),
            (&[0.25, 0.75, 0.0][..], 40.0, 2)
        );
    }

    #[test]
    fn a_written_file_reads_back_unchanged() {
        let mut voices = voices(&[("Ann", [1.0, 2.0, 3.0]), ("Bob the \"builder\" ü", [0.5, -1.0, 0.0])]);
        voices.hear("Ann", &[1.0, 1.0, 1.0], 2.5);
        assert_eq!(Voices::from_bytes(&voices.to_bytes()).unwrap(), voices);
        assert_eq!(voices.to_bytes(), voices.to_bytes(), "the same bytes");
        let nobody = Voices::new("toy", Fingerprint::of_bytes(b"toy"));
        assert_eq!(Voices::from_bytes(&nobody.to_bytes()).unwrap(), nobody);
    }

    #[test]
    fn other_files_are_rejected() {
        let whole = voices(&[("Ann", [1.0, 2.0, 3.0])]).to_bytes();
        for length in 0..whole.len() {
            assert!(Voices::from_bytes(&whole[..length]).is_err(), "{length} bytes");
        }
        let other = safetensors::serialize(Vec::<(String, safetensors::tensor::TensorView<'_>)>::new(), None);
        let error = Voices::from_bytes(&other.unwrap()).unwrap_err();
        assert!(matches!(error, VoicesError::NoVoices { .. }), "{error}");
        let version = br#"\"version\":"#;
        let at = whole.windows(version.len()).position(|bytes| bytes == version).unwrap() + version.len();
        let later = [&whole[..at], b"2", &whole[at + 1..]].concat();
        let error = Voices::from_bytes(&later).unwrap_err();
        assert!(matches!(error, VoicesError::Version { found: 2 }), "{error}");
    }
}
