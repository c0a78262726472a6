//! Folders as on Hugging Face: `model.safetensors`, `config.json` and, optionally, `generation_config.json`. Large models can
//! consist of several files, which `model.safetensors.index.json` names.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

use candle_core::DType;
use candle_transformers::models::whisper::Config;
use diarize_kernels::device::without_backtrace;
use safetensors::tensor::Metadata;
use serde::Deserialize;

use super::{
    Contents, Weights, read_json,
    stored::{Source, Stored, Values},
};
use crate::{Error, Result, model::Head};

/// The file with the tensors.
pub const FILE: &str = "model.safetensors";
/// The file that names those with the tensors.
pub const INDEX: &str = "model.safetensors.index.json";

/// Bytes before the header.
const SIZE: u64 = 8;

/// The numbers of heads in `config.json`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Heads {
    /// Of the encoder.
    pub encoder_attention_heads: usize,
    /// Of the decoder.
    pub decoder_attention_heads: usize,
}

/// The sizes in `config.json` that the tensors have, too.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Sizes {
    num_mel_bins: Option<usize>,
    d_model: Option<usize>,
    encoder_layers: Option<usize>,
    decoder_layers: Option<usize>,
    vocab_size: Option<usize>,
    max_source_positions: Option<usize>,
    max_target_positions: Option<usize>,
}

impl Sizes {
    /// The first size that is not that of the networks: its name, and what it is here and there.
    pub fn contradiction(&self, config: &Config) -> Option<(&'static str, usize, usize)> {
        let all = [
            ("num_mel_bins", self.num_mel_bins, config.num_mel_bins),
            ("d_model", self.d_model, config.d_model),
            ("encoder_layers", self.encoder_layers, config.encoder_layers),
            ("decoder_layers", self.decoder_layers, config.decoder_layers),
            ("vocab_size", self.vocab_size, config.vocab_size),
            ("max_source_positions", self.max_source_positions, config.max_source_positions),
            ("max_target_positions", self.max_target_positions, config.max_target_positions),
        ];
        all.into_iter().find_map(|(name, said, found)| {
            said.filter(|&said| said != found).map(|said| (name, said, found))
        })
    }
}

/// What the files beside the tensors say.
#[derive(Debug)]
pub struct Described {
    /// The numbers of heads.
    pub heads: Heads,
    /// The sizes.
    pub sizes: Sizes,
    /// The heads of the decoder that follow the audio, if the folder names them.
    pub alignment_heads: Option<Vec<Head>>,
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(flatten)]
    heads: Heads,
    #[serde(flatten)]
    sizes: Sizes,
}

#[derive(Default, Deserialize)]
struct GenerationConfig {
    alignment_heads: Option<Vec<Head>>,
}

#[derive(Deserialize)]
struct Index {
    /// The file of each tensor.
    weight_map: HashMap<String, String>,
}

impl Described {
    /// Reads them.
    ///
    /// # Errors
    /// A file is missing or damaged.
    pub fn read(folder: &Path) -> Result<Self> {
        let ConfigFile { heads, sizes } = read_json(&folder.join("config.json"))?;
        let generation = folder.join("generation_config.json");
        let generation = match generation.exists() {
            true => read_json(&generation)?,
            false => GenerationConfig::default(),
        };
        Ok(Self { heads, sizes, alignment_heads: generation.alignment_heads })
    }
}

/// Reads such a folder.
///
/// # Errors
/// A file is missing or damaged.
pub fn read(folder: &Path) -> Result<Contents> {
    let Described { heads, sizes, alignment_heads } = Described::read(folder)?;
    let (tensors, file) = if folder.join(FILE).exists() {
        (tensors(Source::open(&folder.join(FILE))?)?, folder.join(FILE))
    } else {
        let index: Index = read_json(&folder.join(INDEX))?;
        let files: BTreeSet<String> = index.weight_map.into_values().collect();
        let mut all = HashMap::new();
        for file in files {
            if Path::new(&file).components().count() != 1 || file.starts_with('.') {
                let reason = format!("`{file}` is not the name of a file in this folder");
                return Err(Error::InvalidFile { path: folder.join(INDEX), reason });
            }
            all.extend(tensors(Source::open(&folder.join(file))?)?);
        }
        (all, folder.join(INDEX))
    };
    let weights = Weights::new(tensors, file);
    let config = weights.config(heads, sizes)?;
    Ok(Contents { weights, config, alignment_heads })
}

/// The tensors of a file.
fn tensors(source: Source) -> Result<HashMap<String, Stored>> {
    let source = Arc::new(source);
    let incomplete = |reason: String| source.invalid(format!("not a complete safetensors file: {reason}"));
    let too_early = || incomplete("it ends too early, so download or copy it again".to_owned());
    let size: [u8; SIZE as usize] =
        source.bytes(0, SIZE as usize)?.and_then(|bytes| bytes.try_into().ok()).ok_or_else(too_early)?;
    let size = u64::from_le_bytes(size);
    let count = usize::try_from(size).map_err(|_| too_early())?;
    let header = source.bytes(SIZE, count)?.ok_or_else(too_early)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|error| incomplete(error.to_string()))?;
    if source.length().checked_sub(SIZE + size) != Some(header.data_len() as u64) {
        return Err(too_early());
    }
    let tensor = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
        let dtype = DType::try_from(info.dtype)
            .map_err(|error| incomplete(format!("tensor `{name}`: {}", without_backtrace(error))))?;
        let stored = Stored {
            source: Arc::clone(&source),
            offset: SIZE + size + info.data_offsets.0 as u64,
            shape: info.shape.clone(),
            values: Values::Floats(dtype),
        };
        Ok((name.strip_prefix("model.").unwrap_or(&name).to_owned(), stored))
    };
    header.tensors().into_iter().map(tensor).collect()
}
