//! Folders of CTranslate2, which faster-whisper uses: `model.bin` and `config.json`.
//!
//! Source: `ctranslate2.specs.model_spec.ModelSpec._serialize` and `ctranslate2.specs.whisper_spec`.

use std::{collections::HashMap, path::Path};

use candle_core::{DType, Device, Tensor};
use diarize_kernels::device::without_backtrace;
use serde::Deserialize;

use super::{Contents, Weights, read_bytes, read_json};
use crate::{Error, Result, model::Head};

/// The file with the variables.
pub const FILE: &str = "model.bin";

/// The most axes of a variable. Those of Whisper have at most three.
const MAX_AXES: u8 = 8;

#[derive(Deserialize)]
struct Folder {
    alignment_heads: Option<Vec<Head>>,
}

/// Reads such a folder.
///
/// # Errors
/// A file is missing or damaged, or its weights have 16-bit integers.
pub fn read(folder: &Path) -> Result<Contents> {
    let file = folder.join(FILE);
    let described: Folder = read_json(&folder.join("config.json"))?;
    let invalid = |reason: String| Error::InvalidFile { path: file.clone(), reason };
    let bytes = read_bytes(&file)?;
    let variables = Reader { rest: &bytes }.variables().map_err(invalid)?;
    let heads = |network: &str| match variables.get(&format!("{network}/num_heads")) {
        Some(&Variable { bytes: &[low, high], .. }) => Ok(usize::from(u16::from_le_bytes([low, high]))),
        _ => Err(invalid(format!("it has no number `{network}/num_heads`"))),
    };
    let (encoder_heads, decoder_heads) = (heads("encoder")?, heads("decoder")?);
    let tensors = tensors(&variables).map_err(invalid)?;
    let weights = Weights { tensors, file: file.clone() };
    let config = weights.config(encoder_heads, decoder_heads)?;
    Ok(Contents { weights, config, alignment_heads: described.alignment_heads })
}

#[derive(Debug)]
struct Variable<'a> {
    shape: Vec<usize>,
    dtype: u8,
    bytes: &'a [u8],
}

/// Reads the file from front to back, never past its end.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn variables(mut self) -> Result<HashMap<String, Variable<'a>>, String> {
        let version = self.number()?;
        if !(4..=6).contains(&version) {
            return Err(format!(
                "not a CTranslate2 model of a known version: the version is {version}, and 4 to 6 are known"
            ));
        }
        let spec = self.text()?;
        if spec != "WhisperSpec" {
            return Err(format!("the CTranslate2 model is a {spec}, not a WhisperSpec"));
        }
        let _revision = self.number()?;
        let count = self.number()?;
        (0..count).map(|_| Ok((self.text()?, self.variable()?))).collect()
    }

    fn variable(&mut self) -> Result<Variable<'a>, String> {
        let [axes] = self.array()?;
        if axes > MAX_AXES {
            return Err(format!("a variable has {axes} axes: the file is damaged"));
        }
        let shape: Vec<usize> = (0..axes).map(|_| self.number()).collect::<Result<_, _>>()?;
        let [dtype] = self.array()?;
        let size = self.number()?;
        let values = shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis));
        let item = [4, 1, 2, 4, 2, 2].get(usize::from(dtype));
        let wanted = values.zip(item).and_then(|(values, item)| values.checked_mul(*item));
        if wanted != Some(size) {
            return Err(format!(
                "a variable of shape {shape:?} and type {dtype} has {size} bytes: the file is damaged"
            ));
        }
        Ok(Variable { shape, dtype, bytes: self.bytes(size)? })
    }

    fn number(&mut self) -> Result<usize, String> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn text(&mut self) -> Result<String, String> {
        let length = u16::from_le_bytes(self.array()?);
        let bytes = self.bytes(length.into())?;
        let text = str::from_utf8(bytes.strip_suffix(&[0]).unwrap_or(bytes));
        text.map(str::to_owned).map_err(|_| "a name is not UTF-8: the file is damaged".to_owned())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.bytes(N)?.try_into().expect("as many bytes"))
    }

    fn bytes(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (bytes, rest) =
            self.rest.split_at_checked(count).ok_or("the file ends too early: download or copy it again")?;
        self.rest = rest;
        Ok(bytes)
    }
}

/// The tensors under the names of Hugging Face.
fn tensors(variables: &HashMap<String, Variable<'_>>) -> Result<HashMap<String, Tensor>, String> {
    let mut tensors = HashMap::new();
    for (name, variable) in variables.iter().filter(|(_, variable)| !variable.shape.is_empty()) {
        let names = hub_names(name);
        if names.is_empty() {
            continue;
        }
        let failed = |error| format!("variable `{name}`: {}", without_backtrace(error));
        let tensor = tensor(name, variable, variables.get(&format!("{name}_scale")))?;
        let parts = tensor.chunk(names.len(), 0).map_err(failed)?;
        for (name, part) in names.into_iter().zip(parts) {
            tensors.insert(name, part.contiguous().map_err(failed)?);
        }
    }
    Ok(tensors)
}

/// A variable as f32. Integers of 8 bits are divided by the scale of their row.
fn tensor(name: &str, variable: &Variable<'_>, scale: Option<&Variable<'_>>) -> Result<Tensor, String> {
    let failed = |error| format!("variable `{name}`: {}", without_backtrace(error));
    let read = |variable: &Variable<'_>| match variable.dtype {
        0 => floats(variable, DType::F32).map_err(failed),
        4 => floats(variable, DType::F16).map_err(failed),
        5 => floats(variable, DType::BF16).map_err(failed),
        dtype => Err(format!(
            "variable `{name}` is of type {dtype}: convert the model with --quantization float16 or int8 instead"
        )),
    };
    match (variable.dtype, scale) {
        (1, Some(scale)) => {
            let integers = variable.bytes.iter().map(|&byte| f32::from(byte.cast_signed())).collect();
            let mut per_row = vec![1; variable.shape.len()];
            per_row[0] = variable.shape[0];
            let scale = read(scale)?.reshape(per_row).map_err(failed)?;
            Tensor::from_vec(integers, variable.shape.as_slice(), &Device::Cpu)
                .and_then(|integers| integers.broadcast_div(&scale))
                .map_err(failed)
        }
        _ => read(variable),
    }
}

fn floats(variable: &Variable<'_>, dtype: DType) -> candle_core::Result<Tensor> {
    Tensor::from_raw_buffer(variable.bytes, dtype, &variable.shape, &Device::Cpu)?.to_dtype(DType::F32)
}

/// The tensors that lie one after another in a variable. None for variables that are not needed.
fn hub_names(variable: &str) -> Vec<String> {
    let path: Vec<&str> = variable.split('/').collect();
    let [network, path @ .., kind] = path.as_slice() else { return Vec::new() };
    let kind = match *kind {
        "gamma" | "encodings" => "weight",
        "beta" => "bias",
        kind => kind,
    };
    let parts: &[&str] = match path {
        ["conv1"] => &["conv1"],
        ["conv2"] => &["conv2"],
        ["embeddings"] => &["embed_tokens"],
        ["position_encodings"] => &["embed_positions"],
        ["layer_norm"] => &["layer_norm"],
        [_, "self_attention", "layer_norm"] => &["self_attn_layer_norm"],
        [_, "self_attention", "linear_0"] => &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        [_, "self_attention", "linear_1"] => &["self_attn.out_proj"],
        [_, "attention", "layer_norm"] => &["encoder_attn_layer_norm"],
        [_, "attention", "linear_0"] => &["encoder_attn.q_proj"],
        [_, "attention", "linear_1"] => &["encoder_attn.k_proj", "encoder_attn.v_proj"],
        [_, "attention", "linear_2"] => &["encoder_attn.out_proj"],
        [_, "ffn", "layer_norm"] => &["final_layer_norm"],
        [_, "ffn", "linear_0"] => &["fc1"],
        [_, "ffn", "linear_1"] => &["fc2"],
        _ => &[],
    };
    let layer = path.first().and_then(|first| first.strip_prefix("layer_")).filter(|_| path.len() > 1);
    let prefix = layer.map_or_else(|| format!("{network}."), |layer| format!("{network}.layers.{layer}."));
    parts.iter().map(|part| format!("{prefix}{part}.{kind}")).collect()
}
