//! PyanNet, the segmentation network: which of a chunk's local speakers speak in which frame.

pub(crate) mod lstm;
pub(crate) mod sincnet;

use candle_core::{D, Result as TensorResult, Tensor};
use candle_nn::{Linear, Module};

use self::{lstm::Lstm, sincnet::SincNet};
use crate::{
    Result,
    model::{SegmentationArchitecture, Weights},
};

/// The segmentation network: waveform to powerset log-probabilities, or to one probability per speaker.
///
/// Source: `pyannote/audio/models/segmentation/PyanNet.py`.
#[derive(Debug)]
pub struct PyanNet {
    /// Waveforms to feature frames.
    pub sincnet: SincNet,
    /// The recurrent layers.
    pub lstm: Lstm,
    /// The layers between the recurrent ones and the classifier.
    pub linear: Vec<Linear>,
    classifier: Linear,
    multilabel: bool,
}

impl PyanNet {
    /// Loads the network.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(weights: &Weights<'_>, architecture: &SegmentationArchitecture) -> Result<Self> {
        let linear = |name: &str, outputs: usize, inputs: usize| -> Result<Linear> {
            let weight = weights.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
            Ok(Linear::new(weight, Some(weights.tensor(&format!("{name}.bias"), &[outputs])?)))
        };
        let mut width = architecture.lstm.outputs();
        let mut layers = Vec::new();
        for layer in 0..architecture.linear.num_layers {
            layers.push(linear(&format!("linear.{layer}"), architecture.linear.hidden_size, width)?);
            width = architecture.linear.hidden_size;
        }
        Ok(Self {
            sincnet: SincNet::load(weights, architecture.sincnet_stride)?,
            lstm: Lstm::load(weights, &architecture.lstm, sincnet::CHANNELS)?,
            linear: layers,
            classifier: linear("classifier", architecture.classes(), width)?,
            multilabel: architecture.multilabel.is_some(),
        })
    }

    /// Waveforms `(batch, samples)` to scores `(batch, frames, classes)`: log-probabilities of the powerset
    /// classes, or probabilities of the speakers.
    pub fn forward(&self, waveforms: &Tensor) -> TensorResult<Tensor> {
        let x = self.sincnet.forward(waveforms)?; // (batch, 589, 60)
        let x = self.lstm.forward(x)?; // (batch, 589, 256)
        self.classify(&x)
    }

    /// Like [`Self::forward`] for overlapping chunks of a stretch of a recording, on the CPU; see
    /// [`SincNet::forward_overlapping`].
    pub fn forward_overlapping(
        &self,
        stretch: &[f32],
        length_and_hop: [usize; 2],
        level: f32,
    ) -> TensorResult<Tensor> {
        let x = self.sincnet.forward_overlapping(stretch, length_and_hop, level)?; // (batch, 589, 60)
        let x = self.lstm.forward(x)?; // (batch, 589, 256)
        self.classify(&x)
    }

    /// Recurrent features `(batch, frames, features)` to scores `(batch, frames, classes)`.
    pub fn classify(&self, x: &Tensor) -> TensorResult<Tensor> {
        let mut x = x.clone();
        for layer in &self.linear {
            x = leaky_relu(layer.forward(&x)?)?; // (batch, 589, 128)
        }
        let x = self.classifier.forward(&x)?; // (batch, 589, 7)
        if self.multilabel { candle_nn::ops::sigmoid(&x) } else { candle_nn::ops::log_softmax(&x, D::Minus1) }
    }
}

/// `max(x, 0.01 x)`. On the CPU, Candle's version makes our threads wait for each other on large tensors.
fn leaky_relu(x: Tensor) -> TensorResult<Tensor> {
    const SLOPE: f32 = 0.01;
    if !x.device().is_cpu() {
        return candle_nn::ops::leaky_relu(&x, f64::from(SLOPE));
    }
    let shape = x.shape().clone();
    let mut values: Vec<f32> = x.flatten_all()?.to_vec1()?;
    values.iter_mut().for_each(|value| *value = value.max(SLOPE * *value));
    Tensor::from_vec(values, shape, &candle_core::Device::Cpu)
}
