//! Folders with quantized weights, as the example of candle reads them: a file in the format GGUF, `config.json` and, optionally,
//! `generation_config.json`. The tensors have the names of Hugging Face.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{BufReader, Seek},
    path::{Path, PathBuf},
    sync::Arc,
};

use candle_core::{
    DType,
    quantized::{
        GgmlDType,
        gguf_file::{Content, TensorInfo},
    },
};
use diarize_kernels::device::without_backtrace;

use super::{
    Contents, Weights, hub, metadata,
    stored::{Source, Stored, Values},
};
use crate::{Error, Result};

/// The file with the tensors, if there are several.
const FILE: &str = "model.gguf";

/// Characters of candle's errors that are shown. They can quote bytes of the file.
const SHOWN: usize = 200;

/// The file with the tensors in a folder: `model.gguf`, or the only one.
///
/// # Errors
/// There are several others.
pub fn file(folder: &Path) -> Result<Option<PathBuf>> {
    let is_gguf =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_gguf).collect();
    files.sort();
    match files.as_slice() {
        [] => Ok(None),
        [file] => Ok(Some(file.clone())),
        [first, second, ..] => match folder.join(FILE) {
            chosen if files.contains(&chosen) => Ok(Some(chosen)),
            _ => {
                let [first, second] =
                    [first, second].map(|path| path.file_name().unwrap_or_default().display());
                let reason = format!("it has {first} and {second}: rename the one to use to {FILE}");
                Err(Error::InvalidFile { path: folder.to_owned(), reason })
            }
        },
    }
}

/// Reads such a folder.
///
/// # Errors
/// A file is missing or damaged, or the kind of quantization is not known.
pub fn read(folder: &Path, file: PathBuf) -> Result<Contents> {
    let hub::Described { heads, sizes, alignment_heads } = hub::Described::read(folder)?;
    let weights = Weights::new(tensors(&file)?, file);
    let config = weights.config(heads, sizes)?;
    Ok(Contents { weights, config, alignment_heads })
}

/// The tensors of a file.
fn tensors(path: &Path) -> Result<HashMap<String, Stored>> {
    let source = Arc::new(Source::open(path)?);
    let failed = |source| Error::ReadFile { path: path.to_owned(), source };
    let mut file = File::open(path).map(BufReader::new).map_err(failed)?;
    if source.bytes(0, 4)?.is_none_or(|start| start != *b"GGUF") {
        return Err(source.invalid("not a GGUF file: it does not begin with `GGUF`"));
    }
    if metadata::alignment(&mut file) == Some(0) {
        return Err(source.invalid("the alignment is 0: the file is damaged, so download or copy it again"));
    }
    file.rewind().map_err(failed)?;
    let Content { tensor_infos, tensor_data_offset, .. } = Content::read(&mut file).map_err(|error| {
        let error: String = without_backtrace(error).to_string();
        let error: String = error.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
        source.invalid(format!(
            "candle cannot read this GGUF file ({error}): download or copy it again, or quantize it to q8_0"
        ))
    })?;
    let tensor = |(name, TensorInfo { ggml_dtype, shape, offset }): (String, TensorInfo)| {
        let shape = shape.into_dims();
        // No value takes more than eight bytes, here or later.
        if shape.iter().try_fold(8usize, |product, &axis| product.checked_mul(axis)).is_none() {
            return Err(
                source.invalid(format!("tensor `{name}` has the shape {shape:?}: the file is damaged"))
            );
        }
        let values = match ggml_dtype {
            GgmlDType::F32 => Values::Floats(DType::F32),
            GgmlDType::F16 => Values::Floats(DType::F16),
            GgmlDType::BF16 => Values::Floats(DType::BF16),
            dtype => Values::Quantized(dtype),
        };
        let offset = tensor_data_offset.saturating_add(offset);
        let stored = Stored { source: Arc::clone(&source), offset, shape, values };
        Ok((name.strip_prefix("model.").unwrap_or(&name).to_owned(), stored))
    };
    tensor_infos.into_iter().map(tensor).collect()
}
