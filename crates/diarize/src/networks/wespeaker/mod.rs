//! WeSpeaker ResNet34, the embedding network: one embedding for each local speaker of a chunk.

mod fbank;
mod pooling;
pub(crate) mod resnet;

use candle_core::{DType, Device, Result as TensorResult, Tensor};
use diarize_kernels::{conv2d::Activation, stats_pool::stats_pool};

pub use self::{fbank::Fbank, pooling::resize_nearest, resnet::ResNet};
use crate::{
    Result,
    model::{EmbeddingArchitecture, Weights},
    networks::linear::Linear,
};

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
    /// The projection's bias.
    of_nobody: Vec<f32>,
    pub(crate) architecture: EmbeddingArchitecture,
}

impl WeSpeaker {
    /// Loads the network, in ordinary memory.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn load(weights: &Weights<'_>, architecture: &EmbeddingArchitecture) -> Result<Self> {
        let shape = [architecture.dimension, 2 * resnet::features(architecture)];
        let (resnet, projection) = rayon::join(
            || ResNet::load(weights, architecture),
            || Linear::load(weights, "resnet.seg_1", shape, Activation::Identity),
        );
        Ok(Self {
            fbank: Fbank::new(),
            resnet: resnet?,
            projection: projection?.in_f32(),
            of_nobody: weights.values("resnet.seg_1.bias", &shape[..1])?,
            architecture: architecture.clone(),
        })
    }

    /// The network on another device, if its weights are for a GPU.
    ///
    /// # Errors
    /// The device fails.
    pub fn moved_to(self, device: &Device) -> TensorResult<Self> {
        let (resnet, projection) =
            rayon::join(|| self.resnet.moved_to(device), || self.projection.moved_to(device));
        Ok(Self { resnet: resnet?, projection: projection?, ..self })
    }

    /// Waveforms `(batch, samples)` and masks `(batch, masks, output_frames)` to embeddings `(batch, masks,
    /// dimension)`. The residual network runs once per chunk, however many masks there are.
    pub fn forward(&self, waveforms: &Tensor, masks: &Tensor) -> TensorResult<Tensor> {
        let features = self.fbank.forward(waveforms)?; // (batch, 998, 80)
        let frames = self.resnet.forward(&features)?; // (batch, 10, 125, 256)
        self.project(&stats_pool(&frames, masks)?) // (batch, masks, 5120) to (batch, masks, 256)
    }

    /// Runs every kind of layer on a tiny input, all at the same time. On a GPU, this compiles their kernels in parallel.
    pub(crate) fn warm_up(&self, device: &Device) -> TensorResult<()> {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, device);
        let stem = || self.resnet.stem(&self.fbank.forward(&zeros(&[1, self.min_samples()])?)?);
        let pool = || {
            let frames = zeros(&[1, 1, 1, resnet::features(&self.architecture)])?;
            self.project(&stats_pool(&frames, &zeros(&[1, 1, 1])?)?)
        };
        let ends = || rayon::join(stem, pool);
        let (blocks, (stem, pool)) = rayon::join(|| self.resnet.warm_up(device), ends);
        blocks.and(stem.and(pool).map(drop))
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

    /// The embedding for a mask of zeros, which is the projection's bias: `(dimension,)`.
    pub fn embedding_of_nobody(&self) -> &[f32] {
        &self.of_nobody
    }
}
