//! Tensors in files, which are read one by one when the networks take them: memory never holds a model twice.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::{
    DType, Device, Tensor,
    quantized::{GgmlDType, ggml_file::qtensor_from_ggml},
};
use diarize_kernels::device::without_backtrace;

use super::check_stand_in;
use crate::{Error, Result};

/// Bytes by which another file in the place of this one is recognized.
const START: u64 = 512;

/// How whisper.cpp's own files begin.
const WHISPER_CPP: &[u8] = b"lmgg";

/// A file with tensors.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    /// Several tensors are read at the same time.
    file: Mutex<File>,
    /// Bytes.
    length: u64,
}

/// A tensor in a file.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The file.
    pub source: Arc<Source>,
    /// Where it begins.
    pub offset: u64,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values.
    pub values: Values,
}

/// How values are stored.
#[derive(Clone, Debug)]
pub enum Values {
    /// Floating-point numbers.
    Floats(DType),
    /// Blocks of a few bits for each value, as in GGUF.
    Quantized(GgmlDType),
    /// 8-bit integers, which are divided by the scale of their row.
    Integers {
        /// A scale for each row.
        scale: Box<Stored>,
    },
}

impl Source {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be read, or is a stand-in.
    pub fn open(path: &Path) -> Result<Self> {
        let open = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok(Self { path: path.to_owned(), file: Mutex::new(file), length })
        };
        let opened = open().map_err(|source| Error::ReadFile { path: path.to_owned(), source })?;
        let start = opened.bytes(0, opened.length.min(START) as usize)?;
        let start = start.unwrap_or_default();
        check_stand_in(path, &start)?;
        match start.starts_with(WHISPER_CPP) {
            true => Err(opened.invalid(
                "a model in the format of whisper.cpp, which cannot be read: use the same model from huggingface.co or for \
                 faster-whisper",
            )),
            false => Ok(opened),
        }
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Reads bytes. `None` if the file ends before.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn bytes(&self, offset: u64, count: usize) -> Result<Option<Vec<u8>>> {
        if offset.checked_add(count as u64).is_none_or(|end| end > self.length) {
            return Ok(None);
        }
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = vec![0; count];
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(offset))?;
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        };
        read().map(Some).map_err(|source| Error::ReadFile { path: self.path.clone(), source })
    }

    /// An error about its content.
    pub fn invalid(&self, reason: impl ToString) -> Error {
        Error::InvalidFile { path: self.path.clone(), reason: reason.to_string() }
    }
}

impl Stored {
    /// One of several tensors of equal size that lie one after another in this one.
    pub fn part(&self, index: usize, count: usize) -> Self {
        let mut shape = self.shape.clone();
        shape[0] /= count;
        let values = match &self.values {
            Values::Floats(dtype) => Values::Floats(*dtype),
            Values::Quantized(dtype) => Values::Quantized(*dtype),
            Values::Integers { scale } => Values::Integers { scale: Box::new(scale.part(index, count)) },
        };
        let offset = self.offset + index as u64 * (self.size() / count) as u64;
        Self { source: Arc::clone(&self.source), offset, shape, values }
    }

    /// Number of bytes, without those of the scale.
    fn size(&self) -> usize {
        let count = self.shape.iter().product::<usize>();
        match &self.values {
            Values::Floats(dtype) => count * dtype.size_in_bytes(),
            Values::Quantized(dtype) => count / dtype.block_size() * dtype.type_size(),
            Values::Integers { .. } => count,
        }
    }

    /// Reads it as f32.
    ///
    /// # Errors
    /// The file cannot be read, or has become shorter.
    pub fn read(&self) -> Result<Tensor> {
        let bytes = self.source.bytes(self.offset, self.size())?;
        let bytes =
            bytes.ok_or_else(|| self.source.invalid("the file ends too early: download or copy it again"))?;
        let tensor = match &self.values {
            Values::Floats(dtype) => Tensor::from_raw_buffer(&bytes, *dtype, &self.shape, &Device::Cpu)
                .and_then(|tensor| tensor.to_dtype(DType::F32)),
            Values::Quantized(dtype) => qtensor_from_ggml(*dtype, &bytes, self.shape.clone(), &Device::Cpu)
                .and_then(|tensor| tensor.dequantize(&Device::Cpu)),
            Values::Integers { scale } => {
                let integers = bytes.iter().map(|&byte| f32::from(byte.cast_signed())).collect();
                let mut per_row = vec![1; self.shape.len()];
                per_row[0] = self.shape[0];
                let scale = scale.read()?.reshape(per_row)?;
                Tensor::from_vec(integers, self.shape.as_slice(), &Device::Cpu)
                    .and_then(|integers| integers.broadcast_div(&scale))
            }
        };
        tensor.map_err(|error| self.source.invalid(without_backtrace(error)))
    }
}
