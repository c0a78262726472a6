//! The residual network of `WeSpeaker`, batch norms folded into the convolutions before them.
//!
//! Source: `pyannote/audio/models/embedding/wespeaker/resnet.py`; He et al., Deep residual
//! learning for image recognition, 2016.

use candle_core::{Result as TensorResult, Tensor};
use diarize_kernels::conv2d::Conv2d;

use super::fbank::BANDS;
use crate::{
    Error, Result,
    model::{EmbeddingArchitecture, Weights},
};

/// What batch norm adds to a variance before the root.
const EPSILON: f64 = 1e-5;

/// Features to frames, before they are pooled over time.
#[derive(Debug)]
pub(crate) struct ResNet {
    stem: Conv2d,
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
                    BasicBlock::load(
                        weights,
                        &name,
                        if block == 0 { inputs } else { channels },
                        channels,
                        stride,
                    )
                })
                .collect::<Result<_>>()?;
            stages.push(stage);
            inputs = channels;
        }
        let stem = load_convolution(weights, "resnet.conv1", "resnet.bn1", [architecture.channels, 1, 3], 1)?;
        Ok(Self { stem, stages })
    }

    /// Features `(batch, frames, 80)` to `(batch, 256 * 10, frames / 8)`, channel-major.
    pub(crate) fn forward(&self, features: &Tensor) -> TensorResult<Tensor> {
        let mut x = self.stem(features)?; // (batch, 80, 998, 32)
        for stage in &self.stages {
            x = Self::stage(stage, &x)?; // (batch, 80, 998, 32) to (batch, 10, 125, 256)
        }
        x.permute((0, 3, 1, 2))?.flatten(1, 2)?.contiguous()
    }

    /// Features `(batch, frames, 80)` to `(batch, 80, frames, 32)`.
    pub(crate) fn stem(&self, features: &Tensor) -> TensorResult<Tensor> {
        self.stem.forward(&features.transpose(1, 2)?.unsqueeze(3)?, None, true)
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
    first: Conv2d,
    second: Conv2d,
    /// Where the shape changes; elsewhere the input itself goes around.
    shortcut: Option<Conv2d>,
}

impl BasicBlock {
    fn load(weights: &Weights<'_>, name: &str, inputs: usize, outputs: usize, stride: usize) -> Result<Self> {
        let convolution = |conv: &str, bn: &str, shape, stride| {
            load_convolution(weights, &format!("{name}.{conv}"), &format!("{name}.{bn}"), shape, stride)
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
            Some(shortcut) => shortcut.forward(x, None, false)?,
        };
        self.second.forward(&self.first.forward(x, None, true)?, Some(&around), true)
    }
}

/// A convolution over bands and time with the batch norm after it folded in. `shape` is `[outputs,
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
    Conv2d::new(&weights.to_device(kernel, &shape)?, &weights.to_device(bias, &[outputs])?, stride, size / 2)
        .map_err(|source| Error::Compute { stage: "loading the weights", source: source.into() })
}
