//! A stack of LSTM layers. Each projects its input for all steps at once, then runs the recurrence.

use candle_core::{Result as TensorResult, Tensor};
use diarize_kernels::{
    conv2d::{Activation, Conv2d},
    lstm::lstm,
};

use crate::{
    Error, Result,
    model::{LstmArchitecture, Weights},
};

/// A stack of LSTM layers; the outputs of both directions are concatenated.
#[derive(Debug)]
pub struct Lstm {
    /// The layers, first to last.
    pub layers: Vec<LstmLayer>,
}

/// One layer, in one direction or both.
#[derive(Debug)]
pub struct LstmLayer {
    /// The input weights of both directions and the sum of PyTorch's two biases, as a convolution with
    /// kernel size 1: from `inputs` to `directions * 4 * hidden` values.
    projection: Conv2d,
    /// `(directions, 4 * hidden, hidden)`.
    recurrent: Tensor,
}

impl Lstm {
    /// Loads a stack whose first layer takes `inputs` values per step.
    pub(crate) fn load(
        weights: &Weights<'_>,
        architecture: &LstmArchitecture,
        inputs: usize,
    ) -> Result<Self> {
        let outputs = architecture.outputs();
        let layers = (0..architecture.num_layers)
            .map(|layer| {
                LstmLayer::load(weights, architecture, layer, if layer == 0 { inputs } else { outputs })
            })
            .collect::<Result<_>>()?;
        Ok(Self { layers })
    }

    /// `(batch, steps, inputs)` to `(batch, steps, directions * hidden)`.
    pub fn forward(&self, x: Tensor) -> TensorResult<Tensor> {
        self.layers.iter().try_fold(x, |x, layer| layer.forward(x))
    }
}

impl LstmLayer {
    fn load(
        weights: &Weights<'_>,
        architecture: &LstmArchitecture,
        layer: usize,
        inputs: usize,
    ) -> Result<Self> {
        let hidden = architecture.hidden_size;
        let gates = 4 * hidden;
        let (mut input, mut bias, mut recurrent) = (Vec::new(), Vec::new(), Vec::new());
        for suffix in &["", "_reverse"][..architecture.directions()] {
            let values =
                |part: &str, shape: &[usize]| weights.values(&format!("lstm.{part}_l{layer}{suffix}"), shape);
            input.extend(values("weight_ih", &[gates, inputs])?);
            recurrent.extend(values("weight_hh", &[gates, hidden])?);
            let (input_bias, hidden_bias) = (values("bias_ih", &[gates])?, values("bias_hh", &[gates])?);
            bias.extend(input_bias.iter().zip(hidden_bias).map(|(a, b)| a + b));
        }
        let directions = architecture.directions();
        let width = directions * gates;
        let input = weights.to_device(input, &[width, inputs, 1, 1])?;
        let bias = weights.to_device(bias, &[width])?;
        Ok(Self {
            projection: Conv2d::new(&input, &bias, 1, [0, 0]).map_err(Error::loading)?,
            recurrent: weights.to_device(recurrent, &[directions, gates, hidden])?,
        })
    }

    /// `(batch, steps, inputs)` to `(batch, steps, directions * hidden)`.
    pub fn forward(&self, x: Tensor) -> TensorResult<Tensor> {
        let projected = self.projection.forward(&x.unsqueeze(1)?, None, Activation::Identity)?;
        drop(x); // Frees the input before the output is allocated.
        lstm(&projected.squeeze(1)?, &self.recurrent)
    }
}
