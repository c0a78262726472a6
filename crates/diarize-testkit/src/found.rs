//! A diarization with the results of its stages.

use std::ops::{ControlFlow, Deref};

use diarize::{Diarization, Diarizer, Embedded, Options, unstable::Stages};

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
    cluster(&embed(diarizer, samples, options), options)
}

/// Runs the networks on `samples`.
///
/// # Panics
/// If they fail.
pub fn embed(diarizer: &Diarizer, samples: &[f32], options: &Options) -> Embedded {
    let mut listener = diarizer.listen_with(options, |_| ControlFlow::Continue(())).unwrap();
    listener.push(samples).unwrap();
    listener.embedded().unwrap()
}

/// Runs the stages after the networks.
///
/// # Panics
/// If clustering fails.
pub fn cluster(embedded: &Embedded, options: &Options) -> Found {
    Found { diarization: embedded.cluster(options).unwrap(), stages: embedded.stages(options).unwrap() }
}

impl Deref for Found {
    type Target = Diarization;

    fn deref(&self) -> &Diarization {
        &self.diarization
    }
}
