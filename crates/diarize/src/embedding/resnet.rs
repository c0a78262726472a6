//! The residual network of `WeSpeaker`, batch norms folded into the convolutions before them.
//!
//! Source: `pyannote/audio/models/embedding/wespeaker/resnet.py`; He et al., Deep residual
//! learning for image recognition, 2016.

use candle_core::{Result as TensorResult, Tensor};

use super::fbank::BANDS;
use crate::{
    Result,
    model::{EmbeddingArchitecture, Weights},
};

/// What batch norm adds to a variance before the root.
const EPSILON: f64 = 1e-5;

/// Features to frames, before they are pooled over time.
#[derive(Debug)]
pub(crate) struct ResNet {
    stem: Convolution,
    /// Four stages of residual blocks.
    pub(crate) stages: Vec<Vec<BasicBlock>>,
}

impl ResNet {
    pub(crate) fn load(weights: &Weights<'_>, architecture: &EmbeddingArchitecture) -> Result<Self> {
        let mut inputs = architecture.channels;
        let mut stages = Vec::new();
        for (stage, &blocks) in architecture.blocks.iter().enumerate() {
            let channels = architecture.channels << stage;
            let stage = (0..blocks)
                .map(|block| {
                    let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                    let name = format!("resnet.layer{}.{block}", stage + 1);
                    BasicBlock::load(weights, &name, if block == 0 { inputs } else { channels }, channels, stride)
                })
                .collect::<Result<_>>()?;
            stages.push(stage);
            inputs = channels;
        }
        let stem = Convolution::load(weights, "resnet.conv1", "resnet.bn1", [architecture.channels, 1, 3], 1)?;
        Ok(Self { stem, stages })
    }

    /// Features `(batch, frames, 80)` to `(batch, 256 * 10, frames / 8)`, channel-major.
    pub(crate) fn forward(&self, features: &Tensor) -> TensorResult<Tensor> {
        let mut x = self.stem(features)?; // (batch, 32, 80, 998)
        for stage in &self.stages {
            x = Self::stage(stage, &x)?; // (batch, 32, 80, 998) to (batch, 256, 10, 125)
        }
        x.flatten(1, 2)
    }

    /// Features `(batch, frames, 80)` to `(batch, 32, 80, frames)`.
    pub(crate) fn stem(&self, features: &Tensor) -> TensorResult<Tensor> {
        self.stem.forward(&features.transpose(1, 2)?.contiguous()?.unsqueeze(1)?)?.relu()
    }

    /// One stage of residual blocks.
    pub(crate) fn stage(blocks: &[BasicBlock], x: &Tensor) -> TensorResult<Tensor> {
        blocks.iter().try_fold(x.clone(), |x, block| block.forward(&x))
    }
}

/// Values of one frame after the last stage.
pub(crate) fn features(architecture: &EmbeddingArchitecture) -> usize {
    let halvings = architecture.blocks.len() as u32 - 1;
    (architecture.channels << halvings) * (0..halvings).fold(BANDS, |bands, _| bands.div_ceil(2))
}

/// Number of frames after the last stage, of `frames` before the first.
pub(crate) fn output_frames(architecture: &EmbeddingArchitecture, frames: usize) -> usize {
    (1..architecture.blocks.len()).fold(frames, |frames, _| frames.div_ceil(2))
}

/// Two convolutions and a way around them.
#[derive(Debug)]
pub(crate) struct BasicBlock {
    first: Convolution,
    second: Convolution,
    /// Where the shape changes; elsewhere the input itself goes around.
    shortcut: Option<Convolution>,
}

impl BasicBlock {
    fn load(weights: &Weights<'_>, name: &str, inputs: usize, outputs: usize, stride: usize) -> Result<Self> {
        let convolution = |conv: &str, bn: &str, shape, stride| {
            Convolution::load(weights, &format!("{name}.{conv}"), &format!("{name}.{bn}"), shape, stride)
        };
        let changes = stride != 1 || inputs != outputs;
        Ok(Self {
            first: convolution("conv1", "bn1", [outputs, inputs, 3], stride)?,
            second: convolution("conv2", "bn2", [outputs, outputs, 3], 1)?,
            shortcut: changes
                .then(|| convolution("shortcut.0", "shortcut.1", [outputs, inputs, 1], stride))
                .transpose()?,
        })
    }

    fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        let around = match &self.shortcut {
            None => x.clone(),
            Some(shortcut) => shortcut.forward(x)?,
        };
        (self.second.forward(&self.first.forward(x)?.relu()?)? + around)?.relu()
    }
}

/// A convolution over bands and time with the batch norm after it.
#[derive(Debug)]
struct Convolution {
    kernel: Tensor,
    bias: Tensor,
    stride: usize,
    padding: usize,
}

impl Convolution {
    /// `shape` is `[outputs, inputs, size of the square kernel]`.
    fn load(weights: &Weights<'_>, conv: &str, bn: &str, shape: [usize; 3], stride: usize) -> Result<Self> {
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
        Ok(Self {
            kernel: weights.to_device(kernel, &shape)?,
            bias: weights.to_device(bias, &[1, outputs, 1, 1])?,
            stride,
            padding: size / 2,
        })
    }

    /// `(batch, inputs, bands, frames)` to `(batch, outputs, bands / stride, frames / stride)`.
    fn forward(&self, x: &Tensor) -> TensorResult<Tensor> {
        x.conv2d(&self.kernel, self.padding, self.stride, 1, 1)?.broadcast_add(&self.bias)
    }
}
