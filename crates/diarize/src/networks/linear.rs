//! Linear layers.

use candle_core::{Result as TensorResult, Tensor};
use diarize_kernels::conv2d::{Activation, Conv2d};

use crate::{Error, Result, model::Weights};

/// A linear layer and the activation after it. It is a 1 x 1 convolution, so a GPU needs no kernel of Candle's, which the
/// driver would have to compile first, and each row's result is independent of the other rows.
#[derive(Debug)]
pub struct Linear {
    convolution: Conv2d,
    activation: Activation,
}

impl Linear {
    /// Loads the weight `(outputs, inputs)` and the bias `(outputs,)` of `name`.
    pub(crate) fn load(
        weights: &Weights<'_>,
        name: &str,
        [outputs, inputs]: [usize; 2],
        activation: Activation,
    ) -> Result<Self> {
        let weight = weights.values(&format!("{name}.weight"), &[outputs, inputs])?;
        let weight = Weights::to_pack(weight, &[outputs, inputs, 1, 1])?;
        let bias = weights.tensor(&format!("{name}.bias"), &[outputs])?;
        let convolution = Conv2d::new(&weight, &bias, 1, [0, 0]).map_err(Error::loading)?;
        Ok(Self { convolution, activation })
    }

    /// The layer with the precision of the weights, instead of f32.
    pub(crate) fn with_precision(self, weights: &Weights<'_>) -> Self {
        Self { convolution: self.convolution.with_precision(weights.precision()), ..self }
    }

    /// Number of inputs per row.
    pub(crate) fn inputs(&self) -> usize {
        self.convolution.inputs()
    }

    /// `(batch, rows, inputs)` to `(batch, rows, outputs)`.
    ///
    /// # Errors
    /// If the number of inputs does not fit, or the device fails.
    pub fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        self.convolution.forward(&x.unsqueeze(1)?, None, self.activation)?.squeeze(1)
    }
}
