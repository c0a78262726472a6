//! Which embedding network it is, whatever its files are called.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ModelFiles, Weights};
use crate::Result;

/// The SHA-256 of an embedding network: of each tensor in the order of the names its name, shape and values
/// as f32, so that files of f16 and of the f32 that they stand for are the same network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// That of any bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::new(Sha256::new_with_prefix(bytes))
    }

    fn new(hash: Sha256) -> Self {
        Self(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Display for Fingerprint {
    /// Its first eight digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get(..8).unwrap_or(&self.0))
    }
}

impl ModelFiles {
    /// Which embedding network the model has.
    ///
    /// # Errors
    /// A weights file that is none, or holds what is not finite.
    pub fn embedding_fingerprint(&self) -> Result<Fingerprint> {
        let weights = Weights::open(&self.embedding, &candle_core::Device::Cpu)?;
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
