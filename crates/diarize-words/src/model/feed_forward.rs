//! The second half of every layer of both networks.

use candle_core::{Result, Tensor};
use candle_nn::{LayerNorm, Module};

use super::{
    gelu,
    linear::{Linear, Rows},
};
use crate::weights::Weights;

/// `x + W2 gelu(W1 norm(x))`, where the inner width is four times the outer.
#[derive(Debug)]
pub struct FeedForward {
    norm: LayerNorm,
    first: Linear,
    second: Linear,
}

impl FeedForward {
    /// Takes the weights of the layer `name`.
    pub fn load(weights: &Weights, name: &str, width: usize, rows: Rows) -> crate::Result<Self> {
        Ok(Self {
            norm: weights.layer_norm(&format!("{name}.final_layer_norm"), width)?,
            first: Linear::load(weights, &format!("{name}.fc1"), [width, 4 * width], true, rows)?,
            second: Linear::load(weights, &format!("{name}.fc2"), [4 * width, width], true, rows)?,
        })
    }

    /// Maps `(n, width)` to `(n, width)`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let inner = gelu(&self.first.forward(&self.norm.forward(x)?)?)?;
        x + self.second.forward(&inner)?
    }
}
