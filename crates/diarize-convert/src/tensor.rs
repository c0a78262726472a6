//! Tensors as they are in a file: their own dtype, C order, little-endian.

use std::collections::BTreeMap;

use half::{bf16, f16};
use safetensors::Dtype;

/// Tensors by name, in the order of names.
pub type Tensors = BTreeMap<String, Tensor>;

/// The values of a tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// What a value is.
    pub dtype: Dtype,
    /// Length of each dimension.
    pub shape: Vec<usize>,
    /// The values in C order, little-endian.
    pub bytes: Vec<u8>,
}

/// Why a tensor is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorProblem {
    /// It is described in a way that is not PyTorch's.
    #[error("is described in a way that is not known: {0}")]
    Description(&'static str),
    /// A dtype that no network here has.
    #[error("has dtype {0}, which is not read")]
    Dtype(String),
    /// The file's numbers are big-endian.
    #[error("is big-endian, which is not read")]
    BigEndian,
    /// A negative step between values.
    #[error("has stride {0}")]
    Stride(i64),
    /// More values than memory has addresses.
    #[error("has shape {0:?}, whose size overflows")]
    Overflow(Vec<usize>),
    /// More values than what they are taken from.
    #[error("has {values} values, but its storage only {storage}")]
    TooLarge {
        /// Values of the tensor.
        values: usize,
        /// Values of the storage.
        storage: usize,
    },
    /// Values beyond the end of what they are taken from.
    #[error("reaches value {last} of a storage of {storage}")]
    OutOfRange {
        /// Position of the last value.
        last: usize,
        /// Values of the storage.
        storage: usize,
    },
    /// The storage is not in the file, or of another size than is said of it.
    #[error("has its values in storage `{key}`, which has {found} bytes instead of {expected}")]
    Storage {
        /// Name of the storage.
        key: String,
        /// Bytes that it should have.
        expected: usize,
        /// Bytes that it has.
        found: usize,
    },
    /// All tensors together are much larger than the file.
    #[error("takes the tensors to more than the {0} bytes that are allowed for a file of this size")]
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

    /// The values as f32, where they are floating-point numbers.
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        Some(match self.dtype {
            Dtype::F64 => self.values(|bytes| f64::from_le_bytes(bytes) as f32),
            Dtype::F32 => self.values(f32::from_le_bytes),
            Dtype::F16 => self.values(|bytes| f16::from_le_bytes(bytes).to_f32()),
            Dtype::BF16 => self.values(|bytes| bf16::from_le_bytes(bytes).to_f32()),
            _ => return None,
        })
    }

    fn values<const N: usize>(&self, value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        self.bytes.as_chunks().0.iter().map(|&bytes| value(bytes)).collect()
    }
}

/// Bytes of one value. Only dtypes of whole bytes are ever made.
pub(crate) fn size_of(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

/// Number of values of a shape.
pub(crate) fn count(shape: &[usize]) -> Result<usize, TensorProblem> {
    let product = shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length));
    // No tensor has more than `isize::MAX` bytes, and no dtype more than 8.
    product
        .filter(|&count| count <= isize::MAX as usize / 8)
        .ok_or_else(|| TensorProblem::Overflow(shape.to_vec()))
}
