//! A diarization with the results of its stages.

use std::ops::{ControlFlow, Deref};

use diarize::{Diarization, Diarizer, Options, unstable::Stages};

/// A diarization with the results of its stages.
#[derive(Clone, Debug)]
pub struct Found {
    /// The result.
    pub diarization: Diarization,
    /// The results of the stages.
    pub stages: Stages,
}

/// Diarizes `samples` and keeps the results of the stages.
///
/// # Panics
/// If diarization fails.
pub fn diarize(diarizer: &Diarizer, samples: &[f32], options: &Options) -> Found {
    let mut listener = diarizer.listen_with(options, |_| ControlFlow::Continue(())).unwrap();
    listener.push(samples).unwrap();
    let embedded = listener.embedded().unwrap();
    Found { diarization: embedded.cluster(options).unwrap(), stages: embedded.stages(options).unwrap() }
}

impl Deref for Found {
    type Target = Diarization;

    fn deref(&self) -> &Diarization {
        &self.diarization
    }
}
