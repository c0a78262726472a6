//! Names for the speakers of a recording: names of known voices, and labels that stay the same across
//! recordings.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use diarize::{
    Diarization, Warning, label,
    model::ModelFiles,
    voices::{Recognition, Recognized, Voices},
};

use crate::{database::Database, numbers::similarity, source::Source, voice_embedder::VoiceEmbedder};

/// Arguments that give speakers names.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Known speakers")]
pub struct NamesArgs {
    /// Name speakers whose voices are in this file, which `diarize enroll` writes
    ///
    /// Each voice names at most one speaker of a recording. Unknown speakers are called SPEAKER_00,
    /// SPEAKER_01 and so on.
    #[arg(long, value_name = "FILE")]
    identify: Option<PathBuf>,
    /// Give an unknown speaker one label across recordings
    ///
    /// Recordings are compared in the order of the arguments. With a FILE, the voices are stored for later
    /// runs, which continue from there; `diarize speakers rename SPEAKER_00 Ann --db FILE` names one.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    link_speakers: Option<Link>,
    /// Minimum cosine similarity for recognizing a known voice
    #[arg(long, value_name = "COSINE", default_value_t = Recognition::DEFAULT.threshold, value_parser = similarity)]
    identify_threshold: f64,
    /// Minimum lead over the next most similar known voice
    #[arg(long, value_name = "COSINE", default_value_t = Recognition::DEFAULT.margin, value_parser = similarity)]
    identify_margin: f64,
}

/// Which recordings share the labels of unknown speakers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Link {
    /// None; overrides a configuration file.
    No,
    /// The recordings of this run.
    Run,
    /// The recordings of all runs with this file.
    File(PathBuf),
}

impl From<&str> for Link {
    fn from(text: &str) -> Self {
        match text {
            "false" => Link::No,
            "true" => Link::Run,
            path => Link::File(path.into()),
        }
    }
}

impl NamesArgs {
    /// The file in which linked voices are stored.
    pub fn link_file(&self) -> Option<&Path> {
        match &self.link_speakers {
            Some(Link::File(path)) => Some(path),
            _ => None,
        }
    }

    /// An option that names speakers by their voices, if one is given.
    pub fn option(&self) -> Option<&'static str> {
        match (&self.identify, &self.link_speakers) {
            (Some(_), _) => Some("--identify"),
            (None, Some(Link::Run | Link::File(_))) => Some("--link-speakers"),
            (None, Some(Link::No) | None) => None,
        }
    }

    /// Whether labels depend on the other recordings of this run only.
    pub fn link_within_run(&self) -> bool {
        self.link_speakers == Some(Link::Run)
    }

    /// Reads the voices; `None` if no option asks for names.
    pub fn open(&self, model: &ModelFiles) -> anyhow::Result<Option<Names>> {
        let link = self.link_speakers.as_ref().unwrap_or(&Link::No);
        if self.identify.is_none() && *link == Link::No {
            return Ok(None);
        }
        let known = self.identify.as_deref().map(|path| Database::for_model(path, model)).transpose()?;
        let linked = match link {
            Link::No => None,
            Link::Run => Some(Linked::Run(Voices::new(&model.manifest.name, model.embedding_fingerprint()?))),
            Link::File(path) => Some(Linked::File(Database::for_model_or_new(path, model)?)),
        };
        Ok(Some(Names {
            known: known.map(|database| database.voices),
            linked: linked.map(Mutex::new),
            recognition: Recognition { threshold: self.identify_threshold, margin: self.identify_margin },
        }))
    }
}

/// The voices that speakers are compared with.
#[derive(Debug)]
pub struct Names {
    known: Option<Voices>,
    linked: Option<Mutex<Linked>>,
    recognition: Recognition,
}

/// Voices of the recordings so far.
#[derive(Debug)]
enum Linked {
    /// The voices of this run.
    Run(Voices),
    /// The voices in a file, which other processes may also change.
    File(Database),
}

impl Names {
    /// Renames the speakers of a recording. Returns the cosine similarity of each recognized speaker, by
    /// name.
    ///
    /// With `--link-speakers`, calls must not overlap and must be in the order of the recordings.
    pub fn apply(
        &self,
        diarization: &mut Diarization,
        embedder: &VoiceEmbedder<'_>,
        source: &Source,
        duration: f64,
    ) -> anyhow::Result<BTreeMap<String, f64>> {
        let voices = embedder.voices_of(diarization, source, duration)?;
        let mut naming = Naming::of(voices.len());
        if let Some(known) = &self.known {
            naming.recognize(known, &voices, self.recognition);
        }
        match &self.linked {
            None => naming.keep_labels(diarization),
            Some(linked) => {
                let durations: Vec<f64> =
                    diarization.speakers.iter().map(|speaker| speaker.duration).collect();
                let recognition = self.recognition;
                match &mut *linked.lock().unwrap_or_else(PoisonError::into_inner) {
                    Linked::Run(known) => naming.link(known, &voices, &durations, recognition),
                    Linked::File(database) => database.change(|known| {
                        naming.link(known, &voices, &durations, recognition);
                        Ok(())
                    })?,
                }
            }
        }
        Ok(naming.finish(diarization))
    }
}

/// Renames the speakers of a recording who are among `known`; `voices` has the embedding of each speaker that has one.
/// Returns the cosine similarity of each recognized speaker, by name.
pub fn identify(
    diarization: &mut Diarization,
    voices: &[Option<Vec<f32>>],
    known: &Voices,
    recognition: Recognition,
) -> BTreeMap<String, f64> {
    let mut naming = Naming::of(voices.len());
    naming.recognize(known, voices, recognition);
    naming.keep_labels(diarization);
    naming.finish(diarization)
}

/// The names of a recording's speakers so far.
struct Naming {
    names: Vec<Option<String>>,
    /// Cosine similarity of each recognized speaker, by name.
    similarities: BTreeMap<String, f64>,
    /// Speakers who sound like two people, and the names of these two.
    undecided: Vec<(usize, [String; 2])>,
}

impl Naming {
    /// No names yet.
    fn of(speakers: usize) -> Self {
        Self { names: vec![None; speakers], similarities: BTreeMap::new(), undecided: Vec::new() }
    }

    /// Lets the speakers who have no name yet keep their labels, unless a name is the same.
    fn keep_labels(&mut self, diarization: &Diarization) {
        for index in self.unknown() {
            let own = diarization.speakers[index].label.clone();
            let label = if self.taken(&own) { next_label(|label| self.taken(label)) } else { own };
            self.names[index] = Some(label);
        }
    }

    /// Names the speakers who have no name yet and are among `known`.
    fn recognize(&mut self, known: &Voices, voices: &[Option<Vec<f32>>], recognition: Recognition) {
        let unnamed = voices.iter().zip(&self.names);
        let embeddings: Vec<Option<&[f32]>> =
            unnamed.map(|(voice, name)| voice.as_deref().filter(|_| name.is_none())).collect();
        for (index, found) in known.recognize(&embeddings, recognition).into_iter().enumerate() {
            let Some(Recognized { name, similarity }) = found else { continue };
            if !self.taken(&name) {
                self.similarities.insert(name.clone(), similarity);
                self.names[index] = Some(name);
            }
        }
        for (index, embedding) in embeddings.into_iter().enumerate() {
            if let Some(people) = embedding.and_then(|embedding| known.undecided(embedding, recognition))
                && self.names[index].is_none()
            {
                self.undecided.push((index, people));
            }
        }
    }

    /// Renames the speakers and adds a warning for each one who sounds like two people. Returns how similar each recognized
    /// speaker is to the known voice, as a cosine, by name.
    fn finish(self, diarization: &mut Diarization) -> BTreeMap<String, f64> {
        rename(diarization, self.names);
        for (index, people) in self.undecided {
            let speaker = diarization.speakers[index].label.clone();
            diarization.warnings.push(Warning::UndecidedVoice { speaker, people });
        }
        self.similarities
    }

    /// Names the speakers who have no name yet. A speaker who is among `known` gets the name from there, any other a new
    /// label. Their voices are added to `known`.
    fn link(
        &mut self,
        known: &mut Voices,
        voices: &[Option<Vec<f32>>],
        durations: &[f64],
        recognition: Recognition,
    ) {
        let unknown = self.unknown();
        self.recognize(known, voices, recognition);
        for index in unknown {
            let name = self.names[index]
                .clone()
                .unwrap_or_else(|| next_label(|label| known.people.contains_key(label) || self.taken(label)));
            if let Some(embedding) = &voices[index] {
                known.hear(&name, embedding, durations[index]);
            }
            self.names[index] = Some(name);
        }
    }

    /// The speakers who have no name yet.
    fn unknown(&self) -> Vec<usize> {
        (0..self.names.len()).filter(|&index| self.names[index].is_none()).collect()
    }

    fn taken(&self, name: &str) -> bool {
        self.names.iter().flatten().any(|taken| taken == name)
    }
}

fn rename(diarization: &mut Diarization, names: Vec<Option<String>>) {
    let labels = diarization.speakers.iter().map(|speaker| speaker.label.clone());
    let names: BTreeMap<String, String> =
        labels.zip(names).filter_map(|(label, name)| Some((label, name?))).collect();
    let turns = diarization.turns.iter_mut().chain(&mut diarization.exclusive).map(|turn| &mut turn.speaker);
    let speakers = diarization.speakers.iter_mut().map(|speaker| &mut speaker.label);
    for label in turns.chain(speakers) {
        if let Some(name) = names.get(label) {
            label.clone_from(name);
        }
    }
}

/// The first label that is not taken.
fn next_label(taken: impl Fn(&str) -> bool) -> String {
    (0..).map(label).find(|label| !taken(label)).expect("there are infinitely many labels")
}
