//! The residual network of `WeSpeaker`, with batch norms folded into the preceding convolutions.
//!
//! Source: `pyannote/audio/models/embedding/wespeaker/resnet.py`; He et al., Deep residual
//! learning for image recognition, 2016.

use candle_core::{Device, Result as TensorResult, Tensor};
use diarize_kernels::conv2d::{Activation, Conv2d};
use rayon::prelude::*;

use super::fbank::BANDS;
use crate::{
    Result,
    model::{EmbeddingArchitecture, Weights},
};

/// Added to the variance before the square root in batch norm.
const EPSILON: f64 = 1e-5;

/// Features to frames, before pooling over time.
#[derive(Debug)]
pub struct ResNet {
    stem: Conv2d,
    /// Four stages of residual blocks.
    pub stages: Vec<Vec<Block>>,
}

impl ResNet {
    pub(crate) fn load(weights: &Weights<'_>, architecture: &EmbeddingArchitecture) -> Result<Self> {
        let mut shapes = Vec::new();
        for (stage, &blocks) in architecture.blocks.iter().enumerate() {
            let outputs = architecture.outputs(stage);
            let before = if stage == 0 { architecture.channels } else { architecture.outputs(stage - 1) };
            shapes.extend((0..blocks).map(|block| BlockShape {
                stage,
                block,
                inputs: if block == 0 { before } else { outputs },
                inner: architecture.channels << stage,
                outputs,
                stride: if stage > 0 && block == 0 { 2 } else { 1 },
                bottleneck: architecture.bottleneck,
                is_last: stage + 1 == architecture.blocks.len() && block + 1 == blocks,
            }));
        }
        // All blocks at the same time: a GPU waits for the last of them.
        let blocks: Vec<Result<Block>> = shapes.par_iter().map(|shape| Block::load(weights, shape)).collect();
        // Of several errors, the first one in the order of the network is reported, whichever came first in time.
        let mut blocks = blocks.into_iter().collect::<Result<Vec<Block>>>()?.into_iter();
        let stages = architecture.blocks.iter().map(|&count| blocks.by_ref().take(count).collect()).collect();
        let stem = load_convolution(weights, "resnet.conv1", "resnet.bn1", [architecture.channels, 1, 3], 1)?;
        Ok(Self { stem: stem.storing_f16(), stages })
    }

    /// The network on another device, if it is packed for a GPU.
    pub(crate) fn moved_to(self, device: &Device) -> TensorResult<Self> {
        let stages = self.stages.into_par_iter().map(|blocks| -> TensorResult<Vec<Block>> {
            blocks.into_par_iter().map(|block| block.moved_to(device)).collect()
        });
        Ok(Self { stages: stages.collect::<TensorResult<_>>()?, stem: self.stem.moved_to(device)? })
    }

    /// Features `(batch, frames, 80)` to `(batch, 10, frames / 8, 256)`.
    pub fn forward(&self, features: &Tensor) -> TensorResult<Tensor> {
        let mut x = self.stem(features)?; // (batch, 80, 998, 32)
        for stage in &self.stages {
            x = Self::stage(stage, x)?; // (batch, 80, 998, 32) to (batch, 10, 125, 256)
        }
        Ok(x)
    }

    /// Makes every run faster at the cost of memory: 35 MB for ResNet34. Only affects the CPU.
    pub(crate) fn run_often(&self) {
        for block in self.stages.iter().flatten() {
            block.first.iter().chain([&block.last]).for_each(Conv2d::keep_transformed);
        }
    }

    /// Features `(batch, frames, 80)` to `(batch, 80, frames, 32)`.
    pub fn stem(&self, features: &Tensor) -> TensorResult<Tensor> {
        self.stem.forward(&features.transpose(1, 2)?.unsqueeze(3)?, None, Activation::Relu)
    }

    /// Runs every kind of block on a tiny input, all at the same time.
    pub(crate) fn warm_up(&self, device: &Device) -> TensorResult<()> {
        // After the first block of a stage, all are alike, except for the outputs of the last one.
        let last = self.stages.last().and_then(|blocks| blocks.last());
        let blocks: Vec<&Block> =
            self.stages.iter().flat_map(|blocks| blocks.iter().take(2)).chain(last).collect();
        blocks.par_iter().try_for_each(|block| {
            let x = Tensor::zeros((1, 4, 4, block.inputs()), self.stem.output_type(), device)?;
            block.forward(x).map(drop)
        })
    }

    /// Runs one stage of residual blocks.
    pub fn stage(blocks: &[Block], x: Tensor) -> TensorResult<Tensor> {
        blocks.iter().try_fold(x, |x, block| block.forward(x))
    }
}

/// Number of values per frame after the last stage.
pub(crate) fn features(architecture: &EmbeddingArchitecture) -> usize {
    let halvings = architecture.blocks.len() as u32 - 1;
    architecture.outputs(architecture.blocks.len() - 1)
        * (0..halvings).fold(BANDS, |bands, _| bands.div_ceil(2))
}

/// Number of input frames per frame after the last stage.
pub(crate) fn stride(architecture: &EmbeddingArchitecture) -> usize {
    1 << (architecture.blocks.len() - 1)
}

/// Number of input frames that a frame after the last stage sees on each side of its own.
pub(crate) fn reach(architecture: &EmbeddingArchitecture) -> usize {
    let convolutions = if architecture.bottleneck { 1 } else { 2 }; // of size 3, in each block
    let mut reach = 1;
    let mut step = 1;
    for (stage, &blocks) in architecture.blocks.iter().enumerate() {
        reach += step;
        step <<= usize::from(stage > 0);
        reach += (blocks * convolutions - 1) * step;
    }
    reach
}

/// Number of frames after the last stage for `frames` input frames.
pub(crate) fn output_frames(architecture: &EmbeddingArchitecture, frames: usize) -> usize {
    (1..architecture.blocks.len()).fold(frames, |frames, _| frames.div_ceil(2))
}

/// Channels and stride of a residual block.
struct BlockShape {
    stage: usize,
    /// Index in the stage.
    block: usize,
    inputs: usize,
    inner: usize,
    outputs: usize,
    stride: usize,
    bottleneck: bool,
    /// Whether it is the network's last block. Its outputs are always f32.
    is_last: bool,
}

/// A residual block: two convolutions, or three of which the outer ones have kernel size 1, and a shortcut.
#[derive(Debug)]
pub struct Block {
    first: Vec<Conv2d>,
    last: Conv2d,
    /// Present if the shape changes; otherwise the shortcut is the input itself.
    shortcut: Option<Conv2d>,
}

impl Block {
    fn load(weights: &Weights<'_>, shape: &BlockShape) -> Result<Self> {
        let &BlockShape { stage, block, inputs, inner, outputs, stride, bottleneck, is_last } = shape;
        let name = format!("resnet.layer{}.{block}", stage + 1);
        let convolution = |conv: &str, bn: &str, shape, stride| {
            load_convolution(weights, &format!("{name}.{conv}"), &format!("{name}.{bn}"), shape, stride)
        };
        let (first, last) = if bottleneck {
            let narrow = convolution("conv1", "bn1", [inner, inputs, 1], 1)?;
            let middle = convolution("conv2", "bn2", [inner, inner, 3], stride)?;
            (vec![narrow, middle], convolution("conv3", "bn3", [outputs, inner, 1], 1)?)
        } else {
            let (first, last) = rayon::join(
                || convolution("conv1", "bn1", [inner, inputs, 3], stride),
                || convolution("conv2", "bn2", [outputs, inner, 3], 1),
            );
            (vec![first?], last?)
        };
        let changes = stride != 1 || inputs != outputs;
        let shortcut = changes.then(|| convolution("shortcut.0", "shortcut.1", [outputs, inputs, 1], stride));
        Ok(Self {
            first: first.into_iter().map(Conv2d::storing_f16).collect(),
            last: if is_last { last } else { last.storing_f16() },
            shortcut: shortcut.transpose()?.map(Conv2d::storing_f16),
        })
    }

    fn moved_to(self, device: &Device) -> TensorResult<Self> {
        let to = |convolution: Conv2d| convolution.moved_to(device);
        let first = self.first.into_iter().map(to);
        Ok(Self {
            first: first.collect::<TensorResult<_>>()?,
            last: to(self.last)?,
            shortcut: self.shortcut.map(to).transpose()?,
        })
    }

    fn inputs(&self) -> usize {
        self.first[0].inputs()
    }

    /// `(batch, bands, frames, channels)`. On the CPU, the output reuses the memory of `x` or of the
    /// shortcut.
    fn forward(&self, x: Tensor) -> TensorResult<Tensor> {
        let inner = self
            .first
            .iter()
            .try_fold(x.clone(), |x, convolution| convolution.forward(&x, None, Activation::Relu))?;
        let around = match &self.shortcut {
            None => x,
            Some(shortcut) => {
                let around = shortcut.forward(&x, None, Activation::Identity)?;
                drop(x);
                around
            }
        };
        self.last.forward(&inner, Some(around), Activation::Relu)
    }
}

/// Loads a convolution over bands and time, with the batch norm after it folded in. `shape` is `[outputs,
/// inputs, size of the square kernel]`.
fn load_convolution(
    weights: &Weights<'_>,
    conv: &str,
    bn: &str,
    shape: [usize; 3],
    stride: usize,
) -> Result<Conv2d> {
    let [outputs, inputs, size] = shape;
    let shape = [outputs, inputs, size, size];
    let norm = |part: &str| weights.values(&format!("{bn}.{part}"), &[outputs]);
    let (gamma, beta, mean, variance) =
        (norm("weight")?, norm("bias")?, norm("running_mean")?, norm("running_var")?);
    let scale: Vec<f64> =
        gamma.iter().zip(&variance).map(|(&g, &v)| f64::from(g) / (f64::from(v) + EPSILON).sqrt()).collect();
    let bias = (0..outputs).map(|o| (f64::from(beta[o]) - f64::from(mean[o]) * scale[o]) as f32).collect();
    let kernel = weights.values(&format!("{conv}.weight"), &shape)?;
    let kernel = kernel
        .chunks_exact(inputs * size * size)
        .zip(&scale)
        .flat_map(|(kernel, scale)| kernel.iter().map(move |&k| (f64::from(k) * scale) as f32))
        .collect();
    weights.convolution(kernel, shape, bias, stride, [size / 2; 2])
}
