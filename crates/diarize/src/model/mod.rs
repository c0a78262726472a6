//! Model directories: a manifest and the safetensors files that it names.
//!
//! The weights files hold tensors under pyannote.audio's names, in f32, f16 or 8 bits. Types may differ within a file.
//! When a model is loaded, all become f32.
//!
//! # Weights in 8 bits
//! A tensor `NAME` of two or more axes may have dtype `I8`. Then the file also contains `NAME.scale`: f32 or f16, one
//! scale for each output channel, that is, for each index of the first axis (a row of a matrix, a gate of an LSTM, a
//! kernel of a convolution). A weight is its 8-bit value times the scale of its channel, computed in f32.
//!
//! `cargo xtask convert-weights --dtype q8` writes such files. In each channel, the largest value becomes 127 or -127,
//! and the errors of rounding add up to almost nothing. Scales are f32 numbers with 16 significant bits. Thus each
//! weight is exact in f32, and converting a converted file again changes nothing. Matrices and kernels with fewer than
//! 4096 values, or which 8 bits would change by more than 2 %, are written as f16. Vectors (biases, norms) and the
//! parameters of sinc filters are f32, or f16 if they were f16 before.

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
pub use weights::SCALES;
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
