//! Linear layers.

use candle_core::{Device, Result as TensorResult, Tensor};
use diarize_kernels::{
    conv2d::{Activation, Conv2d},
    gpu::Precision,
};

use crate::{Result, model::Weights};

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
        let bias = weights.values(&format!("{name}.bias"), &[outputs])?;
        let convolution = weights.convolution(weight, [outputs, inputs, 1, 1], bias, 1, [0, 0])?;
        Ok(Self { convolution, activation })
    }

    /// The layer in f32, whatever the precision of the weights.
    pub(crate) fn in_f32(self) -> Self {
        Self { convolution: self.convolution.with_precision(Precision::F32), ..self }
    }

    /// The layer on another device, if it is packed for a GPU.
    pub(crate) fn moved_to(self, device: &Device) -> TensorResult<Self> {
        Ok(Self { convolution: self.convolution.moved_to(device)?, ..self })
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
