//! The weights of a model, under the names that Hugging Face gives them, without the prefix `model.`.

mod ctranslate2;
mod gguf;
mod hub;
mod metadata;
mod stored;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use candle_core::{DType, Device, Tensor};
use candle_nn::LayerNorm;
use candle_transformers::models::whisper::Config;
use diarize::model::StandIn;
use serde::de::DeserializeOwned;

use self::{
    hub::{Heads, Sizes},
    stored::{Source, Stored},
};
use crate::{Error, Result, model::Head, place::Place};

/// Width of an attention head in all published models.
const HEAD: usize = 64;

/// The tensors of a model. They stay in their files until they are taken.
#[derive(Debug)]
pub struct Weights {
    tensors: HashMap<String, Stored>,
    file: PathBuf,
    place: Place,
}

/// What a model's folder says about its networks.
#[derive(Debug)]
pub struct Contents {
    /// All tensors.
    pub weights: Weights,
    /// The sizes of the networks.
    pub config: Config,
    /// The heads of the decoder that follow the audio, if the folder names them.
    pub alignment_heads: Option<Vec<Head>>,
}

/// Reads the folder of a model, in the format of Hugging Face or of CTranslate2, or with a GGUF file.
///
/// # Errors
/// A file is missing or damaged, or the tensors are not those of Whisper.
pub fn read(folder: &Path) -> Result<Contents> {
    if folder.is_file() {
        let file = Source::open(folder)?;
        return Err(
            file.invalid("a file: name the folder that has it, its config.json and its tokenizer.json")
        );
    }
    if [hub::FILE, hub::INDEX].iter().any(|file| folder.join(file).exists()) {
        hub::read(folder)
    } else if folder.join(ctranslate2::FILE).exists() {
        ctranslate2::read(folder)
    } else if let Some(file) = gguf::file(folder)? {
        gguf::read(folder, file)
    } else {
        Err(no_model(folder))
    }
}

/// Says what a folder without a model has instead.
fn no_model(folder: &Path) -> Error {
    let is_ggml = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("ggml-") && name.ends_with(".bin")
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let other = entries.map(|entry| entry.path()).find(is_ggml).map(|path| Source::open(&path));
    match other {
        Some(Err(error)) => error,
        _ => Error::NoModel { folder: folder.to_owned() },
    }
}

impl Weights {
    fn new(tensors: HashMap<String, Stored>, file: PathBuf) -> Self {
        Self { tensors, file, place: Place { device: Device::Cpu, dtype: DType::F32 } }
    }

    /// The same weights, for networks in another place.
    pub fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// Where the networks compute.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Takes a tensor of known shape.
    ///
    /// # Errors
    /// It is missing, or has another shape or values that are not finite.
    pub fn take(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let tensor = self.tensors.get(name).ok_or_else(|| self.invalid(name, "is missing".into()))?;
        if tensor.shape != shape {
            return Err(self.invalid(name, format!("has the shape {:?} instead of {shape:?}", tensor.shape)));
        }
        let tensor = tensor.read()?;
        if !is_finite(&tensor)? {
            return Err(self.invalid(name, "has values that are not finite".into()));
        }
        let rounded = tensor.to_dtype(self.place.dtype)?;
        if self.place.dtype != tensor.dtype() && !is_finite(&rounded)? {
            let reason =
                format!("tensor `{name}` has values that do not fit into f16: use the precision f32");
            return Err(self.refused(reason));
        }
        Ok(rounded.to_device(&self.place.device)?)
    }

    /// Takes a layer normalization.
    ///
    /// # Errors
    /// As [`Weights::take`].
    pub fn layer_norm(&self, name: &str, width: usize) -> Result<LayerNorm> {
        const EPSILON: f64 = 1e-5;
        let weight = self.take(&format!("{name}.weight"), &[width])?;
        Ok(LayerNorm::new(weight, self.take(&format!("{name}.bias"), &[width])?, EPSILON))
    }

    /// The sizes of the networks, from the shapes of their tensors and the numbers of heads.
    ///
    /// # Errors
    /// They are not those of Whisper, or contradict `sizes`.
    fn config(&self, heads: Heads, sizes: Sizes) -> Result<Config> {
        let Heads { encoder_attention_heads, decoder_attention_heads } = heads;
        let [d_model, num_mel_bins, _] = self.shape("encoder.conv1.weight")?;
        let [max_source_positions, _] = self.shape("encoder.embed_positions.weight")?;
        let [vocab_size, _] = self.shape("decoder.embed_tokens.weight")?;
        let [max_target_positions, _] = self.shape("decoder.embed_positions.weight")?;
        if [d_model, num_mel_bins, max_source_positions, vocab_size, max_target_positions].contains(&0) {
            return Err(self.refused("a tensor has no values: not a complete Whisper model".to_owned()));
        }
        for heads in [encoder_attention_heads, decoder_attention_heads] {
            self.check_heads(heads, d_model)?;
        }
        let [encoder_layers, decoder_layers] = [self.layers("encoder")?, self.layers("decoder")?];
        let config = Config {
            num_mel_bins,
            max_source_positions,
            d_model,
            encoder_attention_heads,
            encoder_layers,
            vocab_size,
            max_target_positions,
            decoder_attention_heads,
            decoder_layers,
            suppress_tokens: Vec::new(), // `Tokens` finds them, as openai-whisper does.
        };
        match sizes.contradiction(&config) {
            None => Ok(config),
            Some((name, said, found)) => Err(self.refused(format!(
                "{name} is {found} in its tensors, but {said} in config.json: not one complete model"
            ))),
        }
    }

    fn check_heads(&self, heads: usize, width: usize) -> Result<()> {
        if heads == 0 || !width.is_multiple_of(heads) {
            return Err(self.refused(format!("{heads} attention heads do not divide the width {width}")));
        }
        if width.is_multiple_of(HEAD) && width / heads != HEAD {
            let right = width / HEAD;
            return Err(
                self.refused(format!("{heads} attention heads: Whisper has {right} for the width {width}"))
            );
        }
        Ok(())
    }

    /// Number of layers of a network.
    fn layers(&self, network: &str) -> Result<usize> {
        let name = |layer: usize| format!("{network}.layers.{layer}.fc1.weight");
        let is_of_layer =
            |name: &&String| name.starts_with(&format!("{network}.layers.")) && name.ends_with(".fc1.weight");
        let count = self.tensors.keys().filter(is_of_layer).count();
        match (0..count).find(|&layer| !self.tensors.contains_key(&name(layer))) {
            None => Ok(count),
            Some(layer) => Err(self.invalid(&name(layer), "is missing".into())),
        }
    }

    fn shape<const N: usize>(&self, name: &str) -> Result<[usize; N]> {
        let tensor = self.tensors.get(name).ok_or_else(|| self.invalid(name, "is missing".into()))?;
        let dims = tensor.shape.as_slice();
        dims.try_into().map_err(|_| self.invalid(name, format!("has {} axes instead of {N}", dims.len())))
    }

    fn invalid(&self, name: &str, problem: String) -> Error {
        self.refused(format!("tensor `{name}` {problem}: not a complete Whisper model"))
    }

    fn refused(&self, reason: String) -> Error {
        Error::InvalidFile { path: self.file.clone(), reason }
    }
}

fn is_finite(tensor: &Tensor) -> Result<bool> {
    Ok(tensor.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?.is_finite())
}

/// Reads a file of a model.
///
/// # Errors
/// It cannot be read, or is a stand-in.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).map_err(|source| Error::ReadFile { path: path.to_owned(), source })?;
    check_stand_in(path, &bytes)?;
    Ok(bytes)
}

/// Refuses files that are found in place of others if a download went wrong.
fn check_stand_in(path: &Path, start: &[u8]) -> Result<()> {
    match StandIn::of(start) {
        Some(stand_in) => Err(Error::StandIn { path: path.to_owned(), stand_in }),
        None => Ok(()),
    }
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_slice(&read_bytes(path)?)
        .map_err(|error| Error::InvalidFile { path: path.to_owned(), reason: error.to_string() })
}
