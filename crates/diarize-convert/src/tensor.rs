//! Tensors with the dtype of their file, in C order and little-endian.

use std::collections::BTreeMap;

use half::{bf16, f16};
use safetensors::Dtype;

/// Tensors by name, sorted.
pub type Tensors = BTreeMap<String, Tensor>;

/// A tensor in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Type of the values.
    pub dtype: Dtype,
    /// Length of each dimension.
    pub shape: Vec<usize>,
    /// The values in C order, little-endian.
    pub bytes: Vec<u8>,
}

/// Why a tensor cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorProblem {
    /// The tensor's description in the pickle is invalid or unsupported.
    #[error("has an invalid description: {0}")]
    Description(&'static str),
    /// An unsupported dtype.
    #[error("has the unsupported dtype {0}")]
    Dtype(String),
    /// The tensor is big-endian.
    #[error("is big-endian, which is not supported")]
    BigEndian,
    /// A negative stride.
    #[error("has the negative stride {0}")]
    Stride(i64),
    /// The number of values overflows.
    #[error("has shape {0:?}, whose size overflows")]
    Overflow(Vec<usize>),
    /// The tensor has more values than its storage.
    #[error("has {values} values, but its storage has only {storage}")]
    TooLarge {
        /// Number of values of the tensor.
        values: usize,
        /// Number of values in the storage.
        storage: usize,
    },
    /// The tensor extends past the end of its storage.
    #[error("reaches value {last} of a storage of {storage}")]
    OutOfRange {
        /// Index of the last value.
        last: usize,
        /// Number of values in the storage.
        storage: usize,
    },
    /// The storage is missing or has the wrong size.
    #[error("is in storage `{key}`, which has {found} bytes instead of {expected}")]
    Storage {
        /// Name of the storage.
        key: String,
        /// Expected number of bytes.
        expected: usize,
        /// Number of bytes found.
        found: usize,
    },
    /// It has 8-bit values, but the file does not contain their scales.
    #[error("has 8-bit values, but their scales `{0}` are missing: convert the original model again")]
    NoScales(String),
    /// The scales of an 8-bit tensor are not one floating-point number for each output channel.
    #[error(
        "has dtype {dtype:?} and shape {shape:?}, but must be one F32 or F16 scale for each of {channels} output channels"
    )]
    Scales {
        /// Type of the values.
        dtype: Dtype,
        /// Shape in the file.
        shape: Vec<usize>,
        /// Number of output channels.
        channels: usize,
    },
    /// A value is NaN or infinite.
    #[error("contains a non-finite value at index {0}")]
    NonFinite(usize),
    /// The tensors together are much larger than the file.
    #[error("makes the tensors exceed the limit of {0} bytes for a file of this size")]
    Budget(usize),
}

impl Tensor {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the values are floating-point numbers.
    pub fn is_float(&self) -> bool {
        matches!(self.dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }

    /// The values as f32, or `None` if they are not floating-point numbers.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        Some(match self.dtype {
            Dtype::F64 => self.values(|bytes| f64::from_le_bytes(bytes) as f32),
            Dtype::F32 => self.values(f32::from_le_bytes),
            Dtype::F16 => self.values(|bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => self.values(|bytes| bf16::from_le_bytes(bytes).to_f32()),
            _ => return None,
        })
    }

    /// The transposed matrix, or `None` if there are not two dimensions.
    pub(crate) fn transposed(&self) -> Option<Self> {
        let &[rows, columns] = self.shape.as_slice() else { return None };
        let size = size_of(self.dtype);
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for column in 0..columns {
            for row in 0..rows {
                let at = (row * columns + column) * size;
                bytes.extend_from_slice(&self.bytes[at..at + size]);
            }
        }
        Some(Self { dtype: self.dtype, shape: vec![columns, rows], bytes })
    }

    /// The parts along the first dimension, each with the remaining dimensions.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Self> + '_ {
        let shape = self.shape.get(1..).unwrap_or_default();
        let size = shape.iter().product::<usize>() * size_of(self.dtype);
        let part = |bytes: &[u8]| Self { dtype: self.dtype, shape: shape.to_vec(), bytes: bytes.to_vec() };
        self.bytes.chunks_exact(size.max(1)).map(part)
    }

    /// A tensor of one dimension.
    pub(crate) fn vector(values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape: vec![values.len()], bytes }
    }

    fn values<const N: usize>(&self, value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        self.bytes.as_chunks().0.iter().map(|&bytes| value(bytes)).collect()
    }
}

/// Size of a value in bytes. Sub-byte dtypes are never created.
pub(crate) fn size_of(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

/// Number of values in a tensor of the given shape.
pub(crate) fn count(shape: &[usize]) -> Result<usize, TensorProblem> {
    let product = shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length));
    // Memory is limited to `isize::MAX` bytes, and a value has at most 8.
    product
        .filter(|&count| count <= isize::MAX as usize / 8)
        .ok_or_else(|| TensorProblem::Overflow(shape.to_vec()))
}
