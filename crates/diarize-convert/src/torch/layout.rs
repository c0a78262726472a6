//! The layout of a tensor in its storage, validated before any value is read.

use safetensors::Dtype;

use crate::{
    pickle::Value,
    tensor::{TensorProblem, count, size_of},
};

/// The layout of a tensor in its storage.
pub(super) struct Layout<'p> {
    pub(super) dtype: Dtype,
    /// Name of the storage.
    pub(super) key: &'p str,
    /// Number of values in the storage.
    storage: usize,
    offset: usize,
    pub(super) shape: Vec<usize>,
    strides: Vec<usize>,
}

impl<'p> Layout<'p> {
    /// Parses the arguments of `_rebuild_tensor` and its successors.
    pub(super) fn parse(arguments: &[Value<'p>]) -> Result<Self, TensorProblem> {
        let argument = |index: usize| {
            arguments.get(index).copied().ok_or(TensorProblem::Description("arguments are missing"))
        };
        if arguments.get(6).is_some_and(|metadata| metadata.entries().next().is_some()) {
            return Err(TensorProblem::Description("negated or conjugated tensors are not supported"));
        }
        let reference =
            argument(0)?.reference().ok_or(TensorProblem::Description("the storage is missing"))?;
        let (kind, key, length) = storage(reference)?;
        let (dtype, storage) = match kind {
            StorageKind::Of(dtype) => (dtype, length),
            StorageKind::Bytes => {
                let (_, name) =
                    argument(6)?.name().ok_or(TensorProblem::Description("the dtype is missing"))?;
                let dtype = named_dtype(name)?;
                (dtype, length / size_of(dtype))
            }
        };
        let offset = argument(1)?
            .size()
            .ok_or(TensorProblem::Description("the offset is not a non-negative integer"))?;
        let shape = argument(2)?
            .elements()
            .map(|length| {
                length
                    .size()
                    .ok_or(TensorProblem::Description("the shape is not a tuple of non-negative integers"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let strides = argument(3)?
            .elements()
            .map(|stride| {
                let stride =
                    stride.integer().ok_or(TensorProblem::Description("a stride is not an integer"))?;
                usize::try_from(stride).map_err(|_| TensorProblem::Stride(stride))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if shape.len() != strides.len() {
            return Err(TensorProblem::Description("the numbers of strides and dimensions differ"));
        }
        let layout = Self { dtype, key, storage, offset, shape, strides };
        layout.check()?;
        Ok(layout)
    }

    fn check(&self) -> Result<(), TensorProblem> {
        let values = count(&self.shape)?;
        if values > self.storage {
            return Err(TensorProblem::TooLarge { values, storage: self.storage });
        }
        if values == 0 {
            return Ok(());
        }
        let mut steps =
            self.shape.iter().zip(&self.strides).map(|(&length, &stride)| (length - 1).checked_mul(stride));
        let last = steps
            .try_fold(self.offset, |last, step| last.checked_add(step?))
            .ok_or_else(|| TensorProblem::Overflow(self.shape.clone()))?;
        match last < self.storage {
            true => Ok(()),
            false => Err(TensorProblem::OutOfRange { last, storage: self.storage }),
        }
    }

    /// Size of the tensor in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * size_of(self.dtype)
    }

    /// Copies the tensor's values out of the storage, in C order.
    pub(super) fn gather(&self, storage: &[u8]) -> Result<Vec<u8>, TensorProblem> {
        let size = size_of(self.dtype);
        let expected = self.storage.saturating_mul(size);
        if storage.len() < expected {
            return Err(TensorProblem::Storage { key: self.key.to_owned(), expected, found: storage.len() });
        }
        let mut bytes = Vec::with_capacity(self.bytes());
        if self.bytes() == 0 {
            return Ok(bytes);
        }
        // Trailing contiguous dimensions are copied as one run.
        let mut run = 1;
        let mut outer = self.shape.len();
        while outer > 0 && (self.strides[outer - 1] == run || self.shape[outer - 1] == 1) {
            outer -= 1;
            run *= self.shape[outer];
        }
        let mut index = vec![0; outer];
        loop {
            let start =
                self.offset + index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum::<usize>();
            bytes.extend_from_slice(&storage[start * size..(start + run) * size]);
            // Advance the index, with the last dimension fastest.
            let Some(dimension) =
                (0..outer).rev().find(|&dimension| index[dimension] + 1 < self.shape[dimension])
            else {
                return Ok(bytes);
            };
            index[dimension] += 1;
            index[dimension + 1..].fill(0);
        }
    }
}

/// The unit of a storage's length.
pub(super) enum StorageKind {
    Of(Dtype),
    Bytes,
}

impl StorageKind {
    /// Size of the unit in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Of(dtype) => size_of(*dtype),
            Self::Bytes => 1,
        }
    }
}

/// Parses the kind, name and length of a storage from `('storage', class, key, location, length)`.
///
/// The legacy format can add a sixth element for views of another storage. PyTorch has not written such views
/// since version 0.4.
pub(super) fn storage(reference: Value<'_>) -> Result<(StorageKind, &str, usize), TensorProblem> {
    const STRANGE: TensorProblem = TensorProblem::Description("the storage is not a PyTorch storage");
    let parts: Vec<Value<'_>> = reference.elements().take(6).collect();
    let (tag, class, key, length) = match parts.as_slice() {
        [tag, class, key, _, length] => (tag, class, key, length),
        [tag, class, key, _, length, view] if view.is_none() => (tag, class, key, length),
        _ => return Err(STRANGE),
    };
    let (Some("storage"), Some((_, class)), Some(key), Some(length)) =
        (tag.text(), class.name(), key.text(), length.size())
    else {
        return Err(STRANGE);
    };
    let kind = match class {
        "UntypedStorage" => StorageKind::Bytes,
        _ => StorageKind::Of(named_dtype(class)?),
    };
    Ok((kind, key, length))
}

/// The dtype of a storage class or a `torch.dtype`.
fn named_dtype(name: &str) -> Result<Dtype, TensorProblem> {
    Ok(match name {
        "DoubleStorage" | "float64" | "double" => Dtype::F64,
        "FloatStorage" | "float32" | "float" => Dtype::F32,
        "HalfStorage" | "float16" | "half" => Dtype::F16,
        "BFloat16Storage" | "bfloat16" => Dtype::BF16,
        "LongStorage" | "int64" | "long" => Dtype::I64,
        "IntStorage" | "int32" | "int" => Dtype::I32,
        "ShortStorage" | "int16" | "short" => Dtype::I16,
        "CharStorage" | "int8" => Dtype::I8,
        "ByteStorage" | "uint8" => Dtype::U8,
        "BoolStorage" | "bool" => Dtype::BOOL,
        other => return Err(TensorProblem::Dtype(other.to_owned())),
    })
}
