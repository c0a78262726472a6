//! Products of a matrix with a few vectors, `y = W x`, on the CPU. They take as long as reading the matrix, so values
//! that f16 holds exactly are stored as f16, which changes no result. Weights trained or published in f16 are such.

mod cpu;
pub mod reference;

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, bail};
use half::{f16, slice::HalfFloatSliceExt};

/// From so many vectors on, candle's product of f32 matrices is faster.
const MANY: usize = 16;
/// Rows of the matrix that are f32 at a time.
const BLOCK: usize = 4096;

/// A matrix `(outputs, inputs)` of finite values.
#[derive(Debug)]
pub struct Matrix {
    values: Values,
    inputs: usize,
}

#[derive(Debug)]
enum Values {
    F16(Vec<f16>),
    F32(Vec<f32>),
}

impl Matrix {
    /// Takes `weights` `(outputs, inputs)`.
    ///
    /// # Errors
    /// The tensor is not f32, or has no inputs.
    pub fn new(weights: &Tensor) -> Result<Self> {
        let (_, inputs) = weights.dims2()?;
        if inputs == 0 {
            bail!("matrix: there are no inputs");
        }
        let values: Vec<f32> = weights.flatten_all()?.to_vec1()?;
        let is_exact = values.iter().all(|&value| f16::from_f32(value).to_f32() == value);
        let values = match is_exact {
            true => Values::F16(values.into_iter().map(f16::from_f32).collect()),
            false => Values::F32(values),
        };
        Ok(Self { values, inputs })
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.len() / self.inputs
    }

    /// Maps `x` `(n, inputs)` to `(n, outputs)`.
    ///
    /// # Errors
    /// The tensor is not f32 on the CPU, or has another width.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.dim(0)? < MANY || x.dim(1)? != self.inputs {
            return x.contiguous()?.apply_op1_no_bwd(self);
        }
        let blocks = (0..self.outputs()).step_by(BLOCK).map(|first| {
            let count = BLOCK.min(self.outputs() - first);
            let mut rows = vec![0f32; count * self.inputs];
            self.read(first, &mut rows);
            x.matmul(&Tensor::from_vec(rows, (count, self.inputs), &Device::Cpu)?.t()?)
        });
        Tensor::cat(&blocks.collect::<Result<Vec<_>>>()?, 1)
    }

    /// Some rows `(indices, inputs)`.
    ///
    /// # Errors
    /// An index is not below the number of outputs.
    pub fn rows(&self, indices: &[u32]) -> Result<Tensor> {
        let mut rows = vec![0f32; indices.len() * self.inputs];
        for (row, &index) in rows.chunks_exact_mut(self.inputs).zip(indices) {
            if index as usize >= self.outputs() {
                bail!("matrix: row {index} of {}", self.outputs());
            }
            self.read(index as usize, row);
        }
        Tensor::from_vec(rows, (indices.len(), self.inputs), &Device::Cpu)
    }

    /// Fills `rows` with the rows from `first` on.
    fn read(&self, first: usize, rows: &mut [f32]) {
        let range = first * self.inputs..first * self.inputs + rows.len();
        match &self.values {
            Values::F16(values) => values[range].convert_to_f32_slice(rows),
            Values::F32(values) => rows.copy_from_slice(&values[range]),
        }
    }

    fn len(&self) -> usize {
        match &self.values {
            Values::F16(values) => values.len(),
            Values::F32(values) => values.len(),
        }
    }
}

impl CustomOp1 for Matrix {
    fn name(&self) -> &'static str {
        "matrix"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (count, inputs) = layout.shape().dims2()?;
        if inputs != self.inputs {
            bail!("matrix: vectors of {inputs} values instead of {}", self.inputs);
        }
        let x = crate::contiguous_f32(storage, layout, "matrix")?;
        let y = match &self.values {
            Values::F16(values) => cpu::halves(values, x, inputs),
            Values::F32(values) => cpu::singles(values, x, inputs),
        };
        Ok((CpuStorage::F32(y), (count, self.outputs()).into()))
    }
}
