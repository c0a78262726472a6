//! Reading golden files: `.safetensors` files with named tensors and JSON metadata.

use std::{collections::HashMap, path::Path};

use ndarray::{Array, Dimension};
use safetensors::{Dtype, SafeTensors};

use crate::{repository, shared};

/// A golden file in memory.
#[derive(Debug)]
pub struct Golden {
    name: String,
    bytes: Vec<u8>,
    metadata: HashMap<String, String>,
}

impl Golden {
    /// Reads a golden file of this repository, given its path in `tests/goldens` without the extension.
    ///
    /// # Panics
    /// If it does not exist.
    pub fn open(name: &str) -> Self {
        Self::read(&repository("tests/goldens").join(name).with_extension("safetensors"))
    }

    /// Reads a golden file that is too large for the repository, given its path in `shared/golden` next to
    /// the checkout.
    ///
    /// # Panics
    /// If it does not exist.
    pub fn open_shared(name: &str) -> Self {
        Self::read(&shared("golden").join(name).with_extension("safetensors"))
    }

    /// Reads any safetensors file.
    ///
    /// # Panics
    /// If it does not exist or is invalid.
    pub fn read(path: &Path) -> Self {
        let name = path.display().to_string();
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (_, header) =
            SafeTensors::read_metadata(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let metadata = header.metadata().clone().unwrap_or_default();
        Self { name, bytes, metadata }
    }

    /// Names of the tensors, in alphabetical order.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.tensors().names().into_iter().map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Whether there is a tensor with this name.
    pub fn has(&self, tensor: &str) -> bool {
        self.tensors().tensor(tensor).is_ok()
    }

    /// Reads a tensor, for example as `Array2<f32>`.
    ///
    /// # Panics
    /// If it does not exist, or has a different element type or number of axes.
    pub fn get<T: Element, D: Dimension>(&self, tensor: &str) -> Array<T, D> {
        let fail = |problem: String| -> ! { panic!("{}: {tensor}: {problem}", self.name) };
        let view = self.tensors().tensor(tensor).unwrap_or_else(|error| fail(error.to_string()));
        let values =
            T::decode(view.dtype(), view.data()).unwrap_or_else(|| fail(format!("is {:?}", view.dtype())));
        Array::from_shape_vec(view.shape(), values)
            .and_then(|array| array.into_dimensionality())
            .unwrap_or_else(|error| fail(error.to_string()))
    }

    /// A metadata value as text.
    ///
    /// # Panics
    /// If it does not exist.
    pub fn text(&self, key: &str) -> &str {
        self.metadata.get(key).unwrap_or_else(|| panic!("{}: no metadata {key}", self.name))
    }

    /// A metadata value parsed as JSON.
    ///
    /// # Panics
    /// If it does not exist or is not valid JSON.
    pub fn json(&self, key: &str) -> serde_json::Value {
        serde_json::from_str(self.text(key)).unwrap_or_else(|error| panic!("{}: {key}: {error}", self.name))
    }

    fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect("the header was read before")
    }
}

/// An element type of golden tensors.
pub trait Element: Sized {
    /// Decodes little-endian values; `None` if the dtype differs.
    fn decode(dtype: Dtype, bytes: &[u8]) -> Option<Vec<Self>>;
}

macro_rules! element {
    ($($type:ty: $dtype:ident),*) => {$(
        impl Element for $type {
            fn decode(dtype: Dtype, bytes: &[u8]) -> Option<Vec<Self>> {
                let values = bytes.chunks_exact(size_of::<Self>());
                (dtype == Dtype::$dtype)
                    .then(|| values.map(|value| Self::from_le_bytes(value.try_into().expect("as many bytes"))).collect())
            }
        }
    )*};
}

element!(f64: F64, u8: U8, i32: I32, i64: I64);

/// Decodes f32, and f16 without loss.
impl Element for f32 {
    fn decode(dtype: Dtype, bytes: &[u8]) -> Option<Vec<Self>> {
        match dtype {
            Dtype::F32 => Some(
                bytes
                    .chunks_exact(4)
                    .map(|value| f32::from_le_bytes(value.try_into().expect("as many bytes")))
                    .collect(),
            ),
            Dtype::F16 => {
                let decode = |value: &[u8]| {
                    half::f16::from_le_bytes(value.try_into().expect("as many bytes")).to_f32()
                };
                Some(bytes.chunks_exact(2).map(decode).collect())
            }
            _ => None,
        }
    }
}
