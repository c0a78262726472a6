//! Multi-head attention, the same in encoder and decoder.

use candle_core::{Result, Tensor};
use candle_nn::ops::softmax_last_dim;
use diarize_kernels::attention::attention;

use super::linear::{Linear, Rows};
use crate::weights::Weights;

/// The projections of an attention layer.
#[derive(Debug)]
pub struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
    /// The factor of the scores.
    scale: f64,
}

/// Keys and values, each `(heads, positions, width of a head)`.
#[derive(Clone, Debug)]
pub struct KeysValues {
    keys: Tensor,
    values: Tensor,
}

impl Attention {
    /// Takes the weights under `name`. `width` is the width of the network, `rows` the number of queries at once, and
    /// `memory` that of the positions that they attend to.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        width: usize,
        heads: usize,
        [rows, memory]: [Rows; 2],
    ) -> crate::Result<Self> {
        let mut linear = |part: &str, bias: bool, rows: Rows| {
            Linear::load(weights, &format!("{name}.{part}"), [width, width], bias, rows)
        };
        Ok(Self {
            query: linear("q_proj", true, rows)?,
            key: linear("k_proj", false, memory)?,
            value: linear("v_proj", true, memory)?,
            output: linear("out_proj", true, rows)?,
            heads,
            scale: ((width / heads) as f64).powf(-0.5),
        })
    }

    /// Maps `(n, width)` to `(n, width)`: each position attends to all.
    pub fn attend(&self, x: &Tensor) -> Result<Tensor> {
        if !x.device().is_cpu() {
            return Ok(self.forward(x, &self.keys_values(x)?, None)?.0);
        }
        let (queries, keys) = ((self.query.forward(x)? * self.scale)?, self.key.forward(x)?);
        self.output.forward(&attention(&queries, &keys, &self.value.forward(x)?, self.heads)?)
    }

    /// Keys and values of `(positions, width)`.
    pub fn keys_values(&self, x: &Tensor) -> Result<KeysValues> {
        Ok(KeysValues {
            keys: self.split(&self.key.forward(x)?)?,
            values: self.split(&self.value.forward(x)?)?,
        })
    }

    /// Maps `(n, width)` to `(n, width)` by what it finds in `memory`, and returns the scores before the softmax
    /// `(heads, n, positions)`. `mask` `(n, positions)` is added to them.
    pub fn forward(
        &self,
        x: &Tensor,
        memory: &KeysValues,
        mask: Option<&Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let queries = self.split(&(self.query.forward(x)? * self.scale)?)?;
        let mut scores = queries.matmul(&memory.keys.t()?)?;
        if let Some(mask) = mask {
            scores = scores.broadcast_add(mask)?;
        }
        let mixed = softmax_last_dim(&scores)?.matmul(&memory.values)?;
        let mixed = mixed.transpose(0, 1)?.reshape(x.shape())?;
        Ok((self.output.forward(&mixed)?, scores))
    }

    /// Splits `(n, width)` into `(heads, n, width of a head)`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (positions, width) = x.dims2()?;
        x.reshape((positions, self.heads, width / self.heads))?.transpose(0, 1)?.contiguous()
    }
}

impl KeysValues {
    /// Appends those of later positions.
    pub fn extended(&self, later: &Self) -> Result<Self> {
        Ok(Self {
            keys: Tensor::cat(&[&self.keys, &later.keys], 1)?,
            values: Tensor::cat(&[&self.values, &later.values], 1)?,
        })
    }

    /// Number of positions.
    pub fn positions(&self) -> Result<usize> {
        self.keys.dim(1)
    }
}
