//! Identifying an embedding network by its weights, regardless of file names.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ModelFiles, Weights};
use crate::Result;

/// The SHA-256 of an embedding network's weights: the name, shape and f32 values of each tensor, in the
/// order of the names. Files with the same values have the same fingerprint, whatever
/// their types.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of arbitrary bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::new(Sha256::new_with_prefix(bytes))
    }

    fn new(hash: Sha256) -> Self {
        Self(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Display for Fingerprint {
    /// Writes the first eight hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..8).unwrap_or(&self.0))
    }
}

impl ModelFiles {
    /// The fingerprint of the model's embedding network.
    ///
    /// # Errors
    /// If the weights file is invalid or contains values that are not finite.
    pub fn embedding_fingerprint(&self) -> Result<Fingerprint> {
        let weights = Weights::open(&self.embedding)?;
        let mut hash = Sha256::new();
        for (name, shape) in weights.shapes() {
            hash.update(format!("{name} {shape:?}\n"));
            for value in weights.values(&name, &shape)? {
                hash.update(value.to_le_bytes());
            }
        }
        Ok(Fingerprint::new(hash))
    }
}
