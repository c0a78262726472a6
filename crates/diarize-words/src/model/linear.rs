//! Linear layers. On the CPU, they are stored for the number of vectors that they usually map at once.

use candle_core::{Result, Tensor};
use candle_nn::Module;
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
pub enum Linear {
    /// For [`Rows::Many`], and on GPUs.
    Many(candle_nn::Linear),
    /// For [`Rows::Few`].
    Few(Matrix, Option<Tensor>),
}

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
        let bias = bias.then(|| weights.take(&format!("{name}.bias"), &[outputs])).transpose()?;
        Ok(match rows {
            Rows::Few if weight.device().is_cpu() => Self::Few(Matrix::new(&weight)?, bias),
            _ => Self::Many(candle_nn::Linear::new(weight, bias)),
        })
    }

    /// Some rows of the weights `(indices, inputs)`.
    pub fn rows(&self, indices: &[u32]) -> Result<Tensor> {
        match self {
            Self::Few(matrix, _) => matrix.rows(indices),
            Self::Many(linear) => {
                let weight = linear.weight();
                weight.index_select(&Tensor::new(indices, weight.device())?, 0)
            }
        }
    }

    /// Maps `(n, inputs)` to `(n, outputs)`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Many(linear) => linear.forward(x),
            Self::Few(matrix, None) => matrix.forward(x),
            Self::Few(matrix, Some(bias)) => matrix.forward(x)?.broadcast_add(bias),
        }
    }
}
