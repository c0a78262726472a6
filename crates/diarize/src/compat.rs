//! Reproducing pyannote's behavior.

use serde::{Deserialize, Serialize};

use crate::{
    Decoding, EmbeddingTrunk, Error, Parameters, Result,
    clustering::{Assignment, Method},
};

/// Whether to reproduce pyannote's behavior where it fails or is surprising.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Compat {
    /// The behavior that users expect:
    /// - If too few local speakers speak alone for long enough (in a recording of a few seconds), all
    ///   active local speakers are clustered.
    /// - If more speakers are requested than can be distinguished, as many as possible are returned.
    /// - Silent local speakers do not take clusters away from active ones.
    /// - If there is a single cluster, all local speakers are assigned to it.
    /// - The number of simultaneous speakers never exceeds the number of speakers found.
    /// - Speakers are numbered in the order of their clusters.
    /// - In the exclusive diarization, pauses are not filled, since that could make two speakers overlap.
    /// - No turn ends after the recording.
    #[default]
    Off,
    /// What pyannote.audio does in the stages from clustering on. A model whose parameters differ from pyannote's needs
    /// [`Parameters::reproduce`], which sets this and the parameters of the other stages.
    /// - If fewer than two local speakers speak alone for long enough, all are put in one cluster.
    /// - With VBx, requesting more speakers than there are embeddings is an error.
    /// - With methods other than VBx, silent local speakers take part in
    ///   [`Assignment::Distinct`](crate::clustering::Assignment).
    /// - With one cluster, [`Assignment::Distinct`](crate::clustering::Assignment) assigns only one local
    ///   speaker per chunk.
    /// - If more people speak at once than speakers were found, speakers are added.
    /// - Speakers are numbered in the order of their cluster indices sorted as text: 0, 1, 10, 11, 2, …
    /// - In the exclusive diarization, pauses are filled as in the overlapping one.
    /// - Turns can end after the recording, in the padding of the last chunk.
    Pyannote,
}

/// A version of pyannote.audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pyannote {
    /// 3.3. It has no VBx clustering.
    V3_3,
    /// 4.0.
    V4_0,
}

impl Parameters {
    /// Sets the parameters that make the pipeline behave exactly as a version of pyannote.audio, whatever model it
    /// runs. The clustering method and its other parameters, the step between chunks, `embedding_exclude_overlap` and the minimum
    /// durations stay as they are. Call it after choosing the method.
    ///
    /// Results are exact for audio at 16 kHz. Above `max_embeddings`, a limit that pyannote does not have, embeddings are
    /// still grouped first: raise it for recordings of many hours.
    ///
    /// # Errors
    /// If the clustering method is VBx, and the version does not have it.
    pub fn reproduce(&mut self, version: Pyannote) -> Result<()> {
        let vbx = matches!(self.clustering.method, Method::Vbx(_));
        let (min_alone, assignment) = match version {
            Pyannote::V3_3 if vbx => {
                return Err(Error::InvalidOption {
                    option: "clustering",
                    value: "vbx".into(),
                    requirement: "another method, such as agglomerative: pyannote 3.3 has no VBx",
                });
            }
            Pyannote::V3_3 => (0.0, Assignment::Nearest),
            Pyannote::V4_0 if vbx => (0.2, Assignment::Distinct),
            Pyannote::V4_0 => (0.2, Assignment::Nearest),
        };
        if let Method::Vbx(parameters) = &mut self.clustering.method {
            (parameters.fb_exponent, parameters.merge_distance) = (0.0, 0.0); // our additions
        }
        (self.clustering.min_alone, self.clustering.assignment) = (min_alone, assignment);
        self.clustering.compat = Compat::Pyannote;
        self.decoding = Decoding::Argmax;
        self.set_embedding_trunk(EmbeddingTrunk::Chunk);
        Ok(())
    }
}
