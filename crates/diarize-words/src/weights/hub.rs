//! Folders as on Hugging Face: `model.safetensors`, `config.json` and, optionally, `generation_config.json`.

use std::{collections::HashMap, path::Path};

use candle_core::{DType, Device, Tensor};
use diarize_kernels::device::without_backtrace;
use safetensors::SafeTensors;
use serde::Deserialize;

use super::{Contents, Weights, read_bytes, read_json};
use crate::{Error, Result, model::Head};

/// The file with the tensors.
pub const FILE: &str = "model.safetensors";

#[derive(Deserialize)]
struct Heads {
    encoder_attention_heads: usize,
    decoder_attention_heads: usize,
}

#[derive(Default, Deserialize)]
struct GenerationConfig {
    alignment_heads: Option<Vec<Head>>,
}

/// Reads such a folder.
///
/// # Errors
/// A file is missing or damaged.
pub fn read(folder: &Path) -> Result<Contents> {
    let file = folder.join(FILE);
    let heads: Heads = read_json(&folder.join("config.json"))?;
    let generation = folder.join("generation_config.json");
    let generation = match generation.exists() {
        true => read_json(&generation)?,
        false => GenerationConfig::default(),
    };
    let tensors = read_tensors(&read_bytes(&file)?)
        .map_err(|reason| Error::InvalidFile { path: file.clone(), reason })?;
    let weights = Weights { tensors, file };
    let config = weights.config(heads.encoder_attention_heads, heads.decoder_attention_heads)?;
    Ok(Contents { weights, config, alignment_heads: generation.alignment_heads })
}

fn read_tensors(bytes: &[u8]) -> Result<HashMap<String, Tensor>, String> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| format!("not a complete safetensors file: {error}"))?;
    let tensor = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let dtype = DType::try_from(view.dtype())
            .map_err(|error| format!("tensor `{name}`: {}", without_backtrace(error)))?;
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)
            .and_then(|tensor| tensor.to_dtype(DType::F32))
            .map_err(|error| format!("tensor `{name}`: {}", without_backtrace(error)))?;
        Ok((name.strip_prefix("model.").unwrap_or(&name).to_owned(), tensor))
    };
    file.tensors().into_iter().map(tensor).collect()
}
