//! NumPy's `.npz` files: zip archives of `.npy` arrays. pyannote stores its PLDA in two of them.
//!
//! Source: `numpy/lib/_format_impl.py`, which documents the format.

use safetensors::Dtype;

use crate::{
    Problem,
    archive::{Archive, ArchiveProblem},
    tensor::{Tensor, TensorProblem, Tensors, count, size_of},
};

/// Why an array cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NpyProblem {
    /// The file has no npy signature, or its header is truncated.
    #[error("is not a valid npy array")]
    Broken,
    /// An unknown version of the format.
    #[error("has the unknown version {0} of the npy format")]
    Version(u8),
    /// A malformed header.
    #[error("has a malformed header: {0}")]
    Header(&'static str),
    /// The array holds pickled Python objects.
    #[error("holds Python objects instead of numbers")]
    Objects,
    /// A problem that tensors of every format share, such as an unsupported dtype.
    #[error(transparent)]
    Tensor(#[from] TensorProblem),
    /// The number of values does not match the shape.
    #[error("has {found} bytes of values, but its shape needs {expected}")]
    Length {
        /// Number of bytes that the shape needs.
        expected: usize,
        /// Number of bytes in the file.
        found: usize,
    },
}

/// Reads the arrays of an `.npz` file, by name.
pub(crate) fn read(bytes: &[u8]) -> Result<Tensors, Problem> {
    let mut archive = Archive::open(bytes)?;
    let mut arrays = Tensors::new();
    for entry in archive.names() {
        let Some(name) = entry.strip_suffix(".npy") else { continue };
        let content = archive.read(&entry)?;
        let array = array(&content).map_err(|problem| Problem::Npy { array: name.to_owned(), problem })?;
        arrays.insert(name.to_owned(), array);
    }
    match arrays.is_empty() {
        true => Err(ArchiveProblem::Missing("*.npy".into()).into()),
        false => Ok(arrays),
    }
}

/// Reads one `.npy` array.
fn array(bytes: &[u8]) -> Result<Tensor, NpyProblem> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or(NpyProblem::Broken)?;
    let (&[version, _minor], rest) = rest.split_first_chunk().ok_or(NpyProblem::Broken)?;
    let (length, rest) = match version {
        1 => {
            let (length, rest) = rest.split_first_chunk().ok_or(NpyProblem::Broken)?;
            (u16::from_le_bytes(*length).into(), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk().ok_or(NpyProblem::Broken)?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        _ => return Err(NpyProblem::Version(version)),
    };
    let (header, values) = rest.split_at_checked(length).ok_or(NpyProblem::Broken)?;
    let Header { dtype, fortran_order, shape } = Header::parse(header)?;
    let expected = count(&shape)? * size_of(dtype);
    if values.len() != expected {
        return Err(NpyProblem::Length { expected, found: values.len() });
    }
    let bytes = if fortran_order { to_c_order(values, &shape, size_of(dtype)) } else { values.to_vec() };
    Ok(Tensor { dtype, shape, bytes })
}

/// Reorders values from Fortran order to C order. `size` is the size of a value in bytes.
fn to_c_order(values: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut step = size;
    for &length in shape {
        strides.push(step);
        step *= length;
    }
    let mut ordered = Vec::with_capacity(values.len());
    for index in 0..values.len() / size {
        let mut rest = index;
        let mut position = 0;
        for (&length, stride) in shape.iter().zip(&strides).rev() {
            position += rest % length * stride;
            rest /= length;
        }
        ordered.extend_from_slice(&values[position..position + size]);
    }
    ordered
}

struct Header {
    dtype: Dtype,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    /// Parses a Python literal such as `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(header: &[u8]) -> Result<Self, NpyProblem> {
        let text = std::str::from_utf8(header).map_err(|_| NpyProblem::Header("it is not text"))?;
        let after = |key: &'static str, missing: &'static str| {
            let (_, rest) = text.split_once(key).ok_or(NpyProblem::Header(missing))?;
            rest.trim_start().strip_prefix(':').map(str::trim_start).ok_or(NpyProblem::Header(missing))
        };
        let order = after("'fortran_order'", "it has no fortran_order")?;
        let fortran_order = match (order.starts_with("True"), order.starts_with("False")) {
            (false, true) => false,
            (true, false) => true,
            _ => return Err(NpyProblem::Header("fortran_order is neither True nor False")),
        };
        let shape = after("'shape'", "it has no shape")?;
        let shape = shape.strip_prefix('(').and_then(|shape| shape.split_once(')'));
        let (shape, _) = shape.ok_or(NpyProblem::Header("its shape is not a tuple"))?;
        let shape = shape
            .split(',')
            .map(str::trim)
            .filter(|length| !length.is_empty())
            .map(|length| {
                length
                    .parse()
                    .map_err(|_| NpyProblem::Header("its shape is not a tuple of non-negative integers"))
            })
            .collect::<Result<_, _>>()?;
        let kind = after("'descr'", "it has no descr")?;
        let kind = kind.strip_prefix('\'').and_then(|kind| kind.split_once('\''));
        let (kind, _) = kind.ok_or(NpyProblem::Header("its descr is not a plain dtype"))?;
        Ok(Self { dtype: dtype(kind)?, fortran_order, shape })
    }
}

fn dtype(kind: &str) -> Result<Dtype, NpyProblem> {
    Ok(match kind {
        "<f8" => Dtype::F64,
        "<f4" => Dtype::F32,
        "<f2" => Dtype::F16,
        "<i8" => Dtype::I64,
        "<i4" => Dtype::I32,
        "<i2" => Dtype::I16,
        "|i1" => Dtype::I8,
        "|u1" => Dtype::U8,
        "|b1" => Dtype::BOOL,
        kind if kind.contains('O') => return Err(NpyProblem::Objects),
        kind if kind.starts_with('>') => return Err(TensorProblem::BigEndian.into()),
        kind => return Err(TensorProblem::Dtype(kind.to_owned()).into()),
    })
}
