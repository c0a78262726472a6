//! WeSpeaker ResNet34, the embedding network: one embedding for each local speaker of a chunk.

mod fbank;
mod pooling;
pub(crate) mod resnet;

use candle_core::{Device, Result as TensorResult, Tensor};
use candle_nn::{Linear, Module};
use diarize_kernels::stats_pool::stats_pool;

pub use self::{
    fbank::{BANDS, Fbank},
    pooling::{pool, resize_nearest},
    resnet::ResNet,
};
use crate::{
    Result,
    model::{EmbeddingArchitecture, Weights},
};

/// Reorders the residual network's output `(batch, 10, frames, 256)` as `(batch, frame, 2560)`.
pub(crate) fn by_frame(x: &Tensor) -> TensorResult<Vec<f32>> {
    x.permute((0, 2, 3, 1))?.flatten_all()?.to_vec1()
}

/// The embedding network: a waveform and masks to one embedding per mask.
///
/// Source: `WeSpeakerResNet34` in `pyannote/audio/models/embedding/wespeaker/__init__.py`.
#[derive(Debug)]
pub struct WeSpeaker {
    /// Waveforms to features.
    pub fbank: Fbank,
    /// Features to frames.
    pub resnet: ResNet,
    projection: Linear,
    pub(crate) architecture: EmbeddingArchitecture,
}

impl WeSpeaker {
    /// Loads the network.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(weights: &Weights<'_>, architecture: &EmbeddingArchitecture) -> Result<Self> {
        let shape = [architecture.dimension, 2 * resnet::features(architecture)];
        let weight = weights.tensor("resnet.seg_1.weight", &shape)?;
        let bias = weights.tensor("resnet.seg_1.bias", &shape[..1])?;
        Ok(Self {
            fbank: Fbank::new(),
            resnet: ResNet::load(weights, architecture)?,
            projection: Linear::new(weight, Some(bias)),
            architecture: architecture.clone(),
        })
    }

    /// Waveforms `(batch, samples)` and masks `(batch, masks, output_frames)` to embeddings `(batch, masks,
    /// dimension)`. The residual network runs once per chunk, however many masks there are.
    pub fn forward(&self, waveforms: &Tensor, masks: &Tensor) -> TensorResult<Tensor> {
        let features = self.fbank.forward(waveforms)?; // (batch, 998, 80)
        let frames = self.resnet.forward(&features)?; // (batch, 10, 125, 256)
        self.project(&stats_pool(&frames, masks)?) // (batch, masks, 5120) to (batch, masks, 256)
    }

    /// Like [`Self::forward`] for one waveform `(samples,)` on the CPU, with masks of zeros and ones.
    /// Returns `(masks, dimension)`.
    pub(crate) fn forward_one(&self, waveform: &[f32], masks: &[Vec<f32>]) -> TensorResult<Tensor> {
        let waveform = Tensor::from_slice(waveform, (1, waveform.len()), &Device::Cpu)?;
        let features = self.fbank.forward(&waveform)?; // (1, 998, 80)
        let frames = by_frame(&self.resnet.forward(&features)?)?; // (125, 2560)
        let pooled = masks.iter().flat_map(|mask| {
            let mask: Vec<f32> = resize_nearest(mask, frames.len() / self.features()).collect();
            pool(&frames, &mask, self.features())
        });
        let pooled = Tensor::from_iter(pooled, &Device::Cpu)?.reshape((masks.len(), 2 * self.features()))?;
        self.project(&pooled) // (masks, 5120) to (masks, 256)
    }

    /// Pooled statistics `(batch, masks, 5120)` to embeddings `(batch, masks, 256)`, not normalized.
    pub fn project(&self, statistics: &Tensor) -> TensorResult<Tensor> {
        self.projection.forward(statistics)
    }

    /// Minimum number of samples that can be embedded.
    pub(crate) fn min_samples(&self) -> usize {
        self.fbank.min_samples()
    }

    /// Number of frames that the residual network outputs for `samples` samples.
    pub fn output_frames(&self, samples: usize) -> usize {
        resnet::output_frames(&self.architecture, self.fbank.frames(samples))
    }

    /// Number of values per frame of the residual network's output.
    pub(crate) fn features(&self) -> usize {
        resnet::features(&self.architecture)
    }

    /// The embedding for a mask of zeros, which is the projection's bias: `(dimension,)`.
    pub fn embedding_of_nobody(&self) -> TensorResult<Vec<f32>> {
        match self.projection.bias() {
            Some(bias) => bias.to_vec1(),
            None => Ok(vec![0.0; self.architecture.dimension]),
        }
    }
}
