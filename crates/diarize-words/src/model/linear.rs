//! Linear layers. On the CPU, they are stored for the number of vectors that they usually map at once.

use candle_core::{Result, Tensor};
use diarize_kernels::matrix::Matrix;

use crate::weights::Weights;

/// How many vectors a layer usually maps at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// All positions of the audio.
    Many,
    /// The next token.
    Few,
}

/// `y = W x + b`, or without `b`.
#[derive(Debug)]
pub struct Linear {
    weight: Weight,
    /// `(rows, outputs)`: [`BIASES`] equal rows on a GPU, and one on the CPU.
    bias: Option<Tensor>,
}

/// A matrix `(outputs, inputs)`.
#[derive(Debug)]
enum Weight {
    /// For [`Rows::Many`], and on GPUs.
    Many(Tensor),
    /// For [`Rows::Few`] on the CPU.
    Few(Matrix),
}

/// How many vectors get a bias without broadcasting, for which candle copies the shapes to the GPU every time.
const BIASES: usize = 16;

impl Linear {
    /// Takes the weights under `name`, with or without bias.
    pub fn load(
        weights: &Weights,
        name: &str,
        [inputs, outputs]: [usize; 2],
        bias: bool,
        rows: Rows,
    ) -> crate::Result<Self> {
        let weight = weights.take(&format!("{name}.weight"), &[outputs, inputs])?;
        let biases = if weight.device().is_cpu() { 1 } else { BIASES };
        let bias = bias.then(|| weights.take(&format!("{name}.bias"), &[outputs])).transpose()?;
        let bias = bias.map(|bias| bias.broadcast_as((biases, outputs))?.contiguous()).transpose()?;
        let weight = match rows {
            Rows::Few if weight.device().is_cpu() => Weight::Few(Matrix::new(&weight)?),
            _ => Weight::Many(weight),
        };
        Ok(Self { weight, bias })
    }

    /// Some rows of the weights `(indices, inputs)`.
    pub fn rows(&self, indices: &[u32]) -> Result<Tensor> {
        match &self.weight {
            Weight::Few(matrix) => matrix.rows(indices),
            Weight::Many(weight) => weight.index_select(&Tensor::new(indices, weight.device())?, 0),
        }
    }

    /// Maps `(n, inputs)` to `(n, outputs)`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.weight {
            Weight::Few(matrix) => matrix.forward(x)?,
            Weight::Many(weight) => x.matmul(&weight.t()?)?,
        };
        let Some(bias) = &self.bias else { return Ok(y) };
        match y.dim(0)? {
            rows if rows <= bias.dim(0)? => y + bias.narrow(0, 0, rows)?,
            _ => y.broadcast_add(&bias.narrow(0, 0, 1)?),
        }
    }
}
