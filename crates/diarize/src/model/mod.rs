//! Model directories: a manifest and the safetensors files that it names.

mod fingerprint;
pub(crate) mod geometry;
mod manifest;
mod plda;
mod stand_in;
pub(crate) mod weights;

use std::{
    borrow::Cow,
    fs,
    path::{Path, PathBuf},
};

pub use fingerprint::Fingerprint;
pub(crate) use geometry::{FILTER_LENGTH, KERNEL, POOL, num_frames};
pub use manifest::{
    ConfidenceFunction, EmbeddingArchitecture, Hysteresis, LinearArchitecture, LstmArchitecture, Manifest,
    SegmentationArchitecture, VoiceWindows,
};
pub(crate) use plda::read_plda;
pub use stand_in::StandIn;
pub(crate) use weights::Weights;

use crate::{Error, Result};

/// File name of the manifest in a model directory.
pub const MANIFEST: &str = "manifest.toml";

/// A model in memory: its manifest and the files that it names.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    /// The manifest.
    pub manifest: Manifest,
    /// Weights of the segmentation network.
    pub segmentation: WeightsFile,
    /// Weights of the embedding network.
    pub embedding: WeightsFile,
    /// The PLDA model, if the manifest names one.
    pub plda: Option<WeightsFile>,
}

/// The bytes of a safetensors file.
#[derive(Clone, Debug)]
pub struct WeightsFile {
    /// Path used in error messages.
    pub path: PathBuf,
    /// Its content.
    pub bytes: Cow<'static, [u8]>,
}

impl ModelFiles {
    /// Reads a model directory.
    ///
    /// # Errors
    /// If a file is missing or was not really downloaded, or the manifest is invalid.
    pub fn read(dir: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = dir.join(name);
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(source) => return Err(Error::ReadFile { path, source }),
            };
            match StandIn::of(&bytes) {
                Some(stand_in) => Err(Error::StandIn { path, stand_in }),
                None => Ok((path, bytes)),
            }
        };
        let (path, bytes) = read(MANIFEST)?;
        let manifest = Manifest::parse(&path, &bytes)?;
        let weights = |name: &str| -> Result<WeightsFile> {
            let (path, bytes) = read(name)?;
            Ok(WeightsFile { path, bytes: bytes.into() })
        };
        Ok(Self {
            segmentation: weights(&manifest.segmentation.weights)?,
            embedding: weights(&manifest.embedding.weights)?,
            plda: manifest.plda.as_deref().map(weights).transpose()?,
            manifest,
        })
    }

    /// The model bundled with this library.
    #[cfg(feature = "bundled")]
    pub fn bundled() -> Result<Self> {
        macro_rules! file {
            ($name:literal) => {
                include_bytes!(concat!(env!("DIARIZE_BUNDLED_MODEL"), "/", $name)).as_slice()
            };
        }
        let file = |name: &str, bytes: &'static [u8]| WeightsFile {
            path: Path::new("the bundled model").join(name),
            bytes: bytes.into(),
        };
        let manifest = file(MANIFEST, file!("manifest.toml"));
        Ok(Self {
            manifest: Manifest::parse(&manifest.path, &manifest.bytes)?,
            segmentation: file("segmentation.safetensors", file!("segmentation.safetensors")),
            embedding: file("embedding.safetensors", file!("embedding.safetensors")),
            plda: Some(file("plda.safetensors", file!("plda.safetensors"))),
        })
    }
}
