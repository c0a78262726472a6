//! Products of a matrix with a few vectors, `y = W x`, on the CPU. They take as long as reading the matrix, so values
//! that f16 holds exactly are stored as f16, which changes no result. Weights trained or published in f16 are such.

mod cpu;
pub mod reference;

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, bail};
use half::f16;

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
        x.contiguous()?.apply_op1_no_bwd(self)
    }

    /// Some rows `(indices, inputs)`.
    ///
    /// # Errors
    /// An index is not below the number of outputs.
    pub fn rows(&self, indices: &[u32]) -> Result<Tensor> {
        let mut rows = Vec::with_capacity(indices.len() * self.inputs);
        for &index in indices {
            let start = index as usize * self.inputs;
            if start >= self.len() {
                bail!("matrix: row {index} of {}", self.outputs());
            }
            let row = start..start + self.inputs;
            match &self.values {
                Values::F16(values) => rows.extend(values[row].iter().map(|value| value.to_f32())),
                Values::F32(values) => rows.extend_from_slice(&values[row]),
            }
        }
        Tensor::from_vec(rows, (indices.len(), self.inputs), &Device::Cpu)
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
