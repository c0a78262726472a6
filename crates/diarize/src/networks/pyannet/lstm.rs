//! A stack of LSTM layers.

use candle_core::{Device, Result as TensorResult, Tensor};
use diarize_kernels::lstm::Layer;
use rayon::prelude::*;

use crate::{
    Result,
    model::{LstmArchitecture, Weights},
};

/// A stack of LSTM layers; the outputs of both directions are concatenated.
#[derive(Debug)]
pub struct Lstm {
    /// The layers, first to last.
    pub layers: Vec<Layer>,
}

impl Lstm {
    /// Loads a stack whose first layer takes `inputs` values per step.
    pub(crate) fn load(
        weights: &Weights<'_>,
        architecture: &LstmArchitecture,
        inputs: usize,
    ) -> Result<Self> {
        let outputs = architecture.outputs();
        let layers: Vec<Result<Layer>> = (0..architecture.num_layers)
            .into_par_iter()
            .map(|layer| load_layer(weights, architecture, layer, if layer == 0 { inputs } else { outputs }))
            .collect();
        // Of several errors, that of the first layer is reported, whichever came first in time.
        Ok(Self { layers: layers.into_iter().collect::<Result<_>>()? })
    }

    /// The stack on another device, if it is packed for a GPU.
    pub(crate) fn moved_to(self, device: &Device) -> TensorResult<Self> {
        let layers = self.layers.into_par_iter().map(|layer| layer.moved_to(device));
        Ok(Self { layers: layers.collect::<TensorResult<_>>()? })
    }

    /// `(batch, steps, inputs)` to `(batch, steps, directions * hidden)`.
    pub fn forward(&self, x: Tensor) -> TensorResult<Tensor> {
        self.layers.iter().try_fold(x, |x, layer| layer.forward(x))
    }
}

fn load_layer(
    weights: &Weights<'_>,
    architecture: &LstmArchitecture,
    layer: usize,
    inputs: usize,
) -> Result<Layer> {
    let (hidden, directions) = (architecture.hidden_size, architecture.directions());
    let gates = 4 * hidden;
    let (mut input, mut bias, mut recurrent) = (Vec::new(), Vec::new(), Vec::new());
    for suffix in &["", "_reverse"][..directions] {
        let values =
            |part: &str, shape: &[usize]| weights.values(&format!("lstm.{part}_l{layer}{suffix}"), shape);
        input.extend(values("weight_ih", &[gates, inputs])?);
        recurrent.extend(values("weight_hh", &[gates, hidden])?);
        let (input_bias, hidden_bias) = (values("bias_ih", &[gates])?, values("bias_hh", &[gates])?);
        bias.extend(input_bias.iter().zip(hidden_bias).map(|(a, b)| a + b));
    }
    weights.lstm_layer(input, bias, recurrent, [directions, gates, hidden])
}
