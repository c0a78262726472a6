//! Folders of CTranslate2, which faster-whisper uses: `model.bin` and `config.json`.
//!
//! Source: `ctranslate2.specs.model_spec.ModelSpec._serialize` and `ctranslate2.specs.whisper_spec`.

use std::{collections::HashMap, path::Path, sync::Arc};

use candle_core::DType;
use serde::Deserialize;

use super::{
    Contents, Weights,
    hub::{Heads, Sizes},
    read_json,
    stored::{Source, Stored, Values},
};
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
    let source = Arc::new(Source::open(&file)?);
    let variables = Reader { source: &source, at: 0 }.variables()?;
    let heads = |network: &str| -> Result<usize> {
        let name = format!("{network}/num_heads");
        let number = match variables.get(&name) {
            Some(variable) if variable.shape.is_empty() => source.bytes(variable.offset, 2)?,
            _ => None,
        };
        match number.as_deref() {
            Some(&[low, high]) => Ok(u16::from_le_bytes([low, high]).into()),
            _ => Err(source.invalid(format!("it has no number `{name}`"))),
        }
    };
    let heads =
        Heads { encoder_attention_heads: heads("encoder")?, decoder_attention_heads: heads("decoder")? };
    let weights = Weights::new(tensors(&source, &variables)?, file);
    let config = weights.config(heads, Sizes::default())?;
    Ok(Contents { weights, config, alignment_heads: described.alignment_heads })
}

#[derive(Debug)]
struct Variable {
    shape: Vec<usize>,
    dtype: u8,
    offset: u64,
}

/// Reads the file from front to back, without the values of variables.
struct Reader<'a> {
    source: &'a Source,
    at: u64,
}

impl Reader<'_> {
    fn variables(mut self) -> Result<HashMap<String, Variable>> {
        let version = self.number()?;
        if !(4..=6).contains(&version) {
            return Err(self.source.invalid(format!(
                "not a CTranslate2 model of a known version: the version is {version}, and 4 to 6 are known"
            )));
        }
        let spec = self.text()?;
        if spec != "WhisperSpec" {
            return Err(self.source.invalid(format!("the CTranslate2 model is a {spec}, not a WhisperSpec")));
        }
        let _revision = self.number()?;
        let count = self.number()?;
        (0..count).map(|_| Ok((self.text()?, self.variable()?))).collect()
    }

    fn variable(&mut self) -> Result<Variable> {
        let [axes] = self.array()?;
        if axes > MAX_AXES {
            return Err(self.source.invalid(format!("a variable has {axes} axes: the file is damaged")));
        }
        let shape: Vec<usize> = (0..axes).map(|_| self.number()).collect::<Result<_>>()?;
        let [dtype] = self.array()?;
        let size = self.number()?;
        let values = shape.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis));
        let item = [4, 1, 2, 4, 2, 2].get(usize::from(dtype));
        let wanted = values.zip(item).and_then(|(values, item)| values.checked_mul(*item));
        if wanted != Some(size) {
            return Err(self.source.invalid(format!(
                "a variable of shape {shape:?} and type {dtype} has {size} bytes: the file is damaged"
            )));
        }
        let offset = self.at;
        self.at += size as u64;
        if self.at > self.source.length() {
            return Err(self.too_early());
        }
        Ok(Variable { shape, dtype, offset })
    }

    fn number(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn text(&mut self) -> Result<String> {
        let length = u16::from_le_bytes(self.array()?);
        let bytes = self.bytes(length.into())?;
        let text = str::from_utf8(bytes.strip_suffix(&[0]).unwrap_or(&bytes));
        text.map(str::to_owned).map_err(|_| self.source.invalid("a name is not UTF-8: the file is damaged"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.bytes(N)?.try_into().expect("as many bytes"))
    }

    fn bytes(&mut self, count: usize) -> Result<Vec<u8>> {
        let bytes = self.source.bytes(self.at, count)?.ok_or_else(|| self.too_early())?;
        self.at += count as u64;
        Ok(bytes)
    }

    fn too_early(&self) -> Error {
        self.source.invalid("the file ends too early: download or copy it again")
    }
}

/// The tensors under the names of Hugging Face.
fn tensors(source: &Arc<Source>, variables: &HashMap<String, Variable>) -> Result<HashMap<String, Stored>> {
    let mut tensors = HashMap::new();
    for (name, variable) in variables.iter().filter(|(_, variable)| !variable.shape.is_empty()) {
        let names = hub_names(name);
        if names.is_empty() {
            continue;
        }
        let stored = stored(source, name, variable, variables.get(&format!("{name}_scale")))?;
        if !stored.shape[0].is_multiple_of(names.len()) {
            return Err(
                source.invalid(format!("variable `{name}` does not have {} equal parts", names.len()))
            );
        }
        let count = names.len();
        tensors.extend(names.into_iter().enumerate().map(|(part, name)| (name, stored.part(part, count))));
    }
    Ok(tensors)
}

fn stored(source: &Arc<Source>, name: &str, variable: &Variable, scale: Option<&Variable>) -> Result<Stored> {
    let values = match (variable.dtype, scale) {
        (0, _) => Values::Floats(DType::F32),
        (4, _) => Values::Floats(DType::F16),
        (5, _) => Values::Floats(DType::BF16),
        (1, Some(scale)) if scale.shape == variable.shape[..1] => {
            Values::Integers { scale: Box::new(stored(source, name, scale, None)?) }
        }
        (dtype, _) => {
            return Err(source.invalid(format!(
                "variable `{name}` is of type {dtype}: convert the model with --quantization float16 or int8 instead"
            )));
        }
    };
    let Variable { shape, offset, .. } = variable;
    Ok(Stored { source: Arc::clone(source), offset: *offset, shape: shape.clone(), values })
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
