//! PyanNet, the segmentation network: which of a chunk's local speakers speak in which frame.

pub(crate) mod lstm;
pub(crate) mod sincnet;

use candle_core::{DType, Device, Result as TensorResult, Tensor};
use diarize_kernels::{conv2d::Activation, scores::Scores};
use rayon::prelude::*;

use self::{lstm::Lstm, sincnet::SincNet};
use crate::{
    Result,
    model::{SegmentationArchitecture, Weights},
    networks::linear::Linear,
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
    scores: Scores,
}

impl PyanNet {
    /// Loads the network, in ordinary memory.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(weights: &Weights<'_>, architecture: &SegmentationArchitecture) -> Result<Self> {
        let mut width = architecture.lstm.outputs();
        let mut layers = Vec::new();
        for layer in 0..architecture.linear.num_layers {
            let shape = [architecture.linear.hidden_size, width];
            layers.push(Linear::load(weights, &format!("linear.{layer}"), shape, Activation::LeakyRelu)?);
            width = shape[0];
        }
        Ok(Self {
            sincnet: SincNet::load(weights, architecture.sincnet_stride)?,
            lstm: Lstm::load(weights, &architecture.lstm, sincnet::CHANNELS)?,
            linear: layers,
            classifier: Linear::load(
                weights,
                "classifier",
                [architecture.classes(), width],
                Activation::Identity,
            )?
            .in_f32(),
            scores: match architecture.multilabel {
                None => Scores::LogSoftmax,
                Some(_) => Scores::Sigmoid,
            },
        })
    }

    /// The network on another device, if its weights are for a GPU.
    ///
    /// # Errors
    /// The device fails.
    pub fn moved_to(self, device: &Device) -> TensorResult<Self> {
        let linear = self.linear.into_iter().map(|layer| layer.moved_to(device));
        Ok(Self {
            sincnet: self.sincnet.moved_to(device)?,
            lstm: self.lstm.moved_to(device)?,
            linear: linear.collect::<TensorResult<_>>()?,
            classifier: self.classifier.moved_to(device)?,
            scores: self.scores,
        })
    }

    /// Runs every kind of layer on a tiny input, all at the same time. On a GPU, this compiles their kernels in parallel.
    pub(crate) fn warm_up(&self, device: &Device) -> TensorResult<()> {
        let zeros = |width: usize| Tensor::zeros((1, 1, width), DType::F32, device);
        // After the second layer, all are alike.
        let (lstm, linear): (Vec<_>, Vec<_>) =
            (self.lstm.layers.iter().take(2).collect(), self.linear.iter().take(2).collect());
        let lstm = || lstm.par_iter().try_for_each(|layer| layer.forward(zeros(layer.inputs())?).map(drop));
        let linear =
            || linear.par_iter().try_for_each(|layer| layer.forward(&zeros(layer.inputs())?).map(drop));
        let scores = || self.scores.forward(&self.classifier.forward(&zeros(self.classifier.inputs())?)?);
        let ((sincnet, lstm), (linear, scores)) = rayon::join(
            || rayon::join(|| self.sincnet.warm_up(device), lstm),
            || rayon::join(linear, scores),
        );
        sincnet.and(lstm).and(linear).and(scores.map(drop))
    }

    /// Waveforms `(batch, samples)` to scores `(batch, frames, classes)`: log-probabilities of the powerset
    /// classes, or probabilities of the speakers.
    pub fn forward(&self, waveforms: &Tensor) -> TensorResult<Tensor> {
        let x = self.sincnet.forward(waveforms)?; // (batch, 589, 60)
        let x = self.lstm.forward(x)?; // (batch, 589, 256)
        self.classify(&x)
    }

    /// Like [`Self::forward`] for overlapping chunks of a recording; see [`SincNet::forward_overlapping`].
    pub fn forward_overlapping(
        &self,
        samples: Vec<f32>,
        starts: &[usize],
        length: usize,
        level: f32,
        device: &Device,
    ) -> TensorResult<Tensor> {
        let x = self.sincnet.forward_overlapping(samples, starts, length, level, device)?; // (batch, 589, 60)
        let x = self.lstm.forward(x)?; // (batch, 589, 256)
        self.classify(&x)
    }

    /// Recurrent features `(batch, frames, features)` to scores `(batch, frames, classes)`.
    pub fn classify(&self, x: &Tensor) -> TensorResult<Tensor> {
        let x = self.linear.iter().try_fold(x.clone(), |x, layer| layer.forward(&x))?; // (batch, 589, 128)
        self.scores.forward(&self.classifier.forward(&x)?) // (batch, 589, 7)
    }
}
