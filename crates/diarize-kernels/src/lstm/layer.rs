//! A layer with its weights.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, bail};

use super::{Dims, cpu, lstm_keeping};
use crate::{
    conv2d::{self, Activation, Conv2d},
    gpu::{Kept, Precision},
};

/// One LSTM layer whose weights are packed for their device: the projection of the input, then the recurrence.
///
/// A GPU projects all steps with one matrix product. The CPU projects a few steps at a time, which needs less memory.
#[derive(Debug)]
pub struct Layer(Weights);

#[derive(Debug)]
enum Weights {
    Cpu(CpuLayer),
    Gpu {
        /// A 1 x 1 convolution from the inputs to the gates of all directions.
        projection: Conv2d,
        /// `(directions, 4 * hidden, hidden)`.
        recurrent: Tensor,
        kept: Kept,
        precision: Precision,
    },
}

/// The weights of each direction.
#[derive(Debug)]
struct CpuLayer {
    inputs: usize,
    hidden: usize,
    projections: Vec<conv2d::cpu::Packed>,
    recurrent: Vec<cpu::Packed>,
}

impl Layer {
    /// Packs a layer, which runs on the device of `recurrent`:
    ///
    /// - `input`: `(directions * 4 * hidden, inputs)` f32, `W_ih` of each direction;
    /// - `bias`: `(directions * 4 * hidden,)` f32, the sum of PyTorch's two biases;
    /// - `recurrent`: `(directions, 4 * hidden, hidden)` f32, `W_hh` of each direction.
    ///
    /// # Errors
    /// The shapes do not fit each other, a tensor is not f32, or the device fails.
    pub fn new(input: &Tensor, bias: &Tensor, recurrent: &Tensor) -> Result<Self> {
        match recurrent.device() {
            Device::Cpu => Self::pack(input, bias, recurrent, false),
            device => Self::for_gpu(input, bias, recurrent)?.moved_to(device),
        }
    }

    /// Like [`Self::new`], but packs for a GPU, in ordinary memory. [`Self::moved_to`] copies it there.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn for_gpu(input: &Tensor, bias: &Tensor, recurrent: &Tensor) -> Result<Self> {
        Self::pack(input, bias, recurrent, true)
    }

    /// The layer on another device, if it is packed for a GPU.
    ///
    /// # Errors
    /// The device fails.
    pub fn moved_to(self, device: &Device) -> Result<Self> {
        Ok(Self(match self.0 {
            Weights::Gpu { projection, recurrent, precision, .. } => Weights::Gpu {
                projection: projection.moved_to(device)?,
                recurrent: recurrent.to_device(device)?,
                kept: Kept::default(),
                precision,
            },
            cpu => cpu,
        }))
    }

    fn pack(input: &Tensor, bias: &Tensor, recurrent: &Tensor, for_gpu: bool) -> Result<Self> {
        let (directions, gates, hidden) = recurrent.dims3()?;
        let (width, inputs) = input.dims2()?;
        let fits = gates == 4 * hidden && width == directions * gates && bias.dims() == [width];
        if !fits || inputs == 0 || !(1..=2).contains(&directions) {
            bail!(
                "lstm: weights of the shapes {:?}, {:?} and {:?} do not fit each other",
                input.shape(),
                bias.shape(),
                recurrent.shape()
            );
        }
        let weights = if for_gpu {
            let kernel = input.reshape((width, inputs, 1, 1))?;
            Weights::Gpu {
                projection: Conv2d::for_gpu(&kernel, bias, 1, [0, 0])?,
                recurrent: recurrent.contiguous()?,
                kept: Kept::default(),
                precision: Precision::F32,
            }
        } else {
            let (weights, bias) = (input.flatten_all()?.to_vec1()?, bias.to_vec1()?);
            let one = |direction: usize| {
                let gates = direction * gates..(direction + 1) * gates;
                let weights = &weights[gates.start * inputs..gates.end * inputs];
                conv2d::cpu::Packed::linear(inputs, weights, &bias[gates])
            };
            Weights::Cpu(CpuLayer {
                inputs,
                hidden,
                projections: (0..directions).map(one).collect(),
                recurrent: cpu::pack(hidden, &recurrent.flatten_all()?.to_vec1()?),
            })
        };
        Ok(Self(weights))
    }

    /// The layer with this precision of products on a GPU's matrix units.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self(match self.0 {
            Weights::Gpu { projection, recurrent, .. } => Weights::Gpu {
                projection: projection.with_precision(precision),
                recurrent,
                kept: Kept::default(),
                precision,
            },
            cpu => cpu,
        })
    }

    /// Number of inputs per step.
    pub fn inputs(&self) -> usize {
        match &self.0 {
            Weights::Cpu(layer) => layer.inputs,
            Weights::Gpu { projection, .. } => projection.inputs(),
        }
    }

    /// Maps `x` `(batch, steps, inputs)` to `(batch, steps, directions * hidden)`, f32. A GPU needs the memory of `x` no
    /// longer once it is projected.
    ///
    /// # Errors
    /// The number of inputs, the type or the device of `x` does not fit, or as for [`super::lstm`].
    pub fn forward(&self, x: Tensor) -> Result<Tensor> {
        match &self.0 {
            Weights::Cpu(layer) => x.contiguous()?.apply_op1_no_bwd(layer),
            Weights::Gpu { projection, recurrent, kept, precision } => {
                let gates = projection.forward(&x.unsqueeze(1)?, None, Activation::Identity)?; // (batch, 1, steps, gates)
                drop(x);
                lstm_keeping(&gates.squeeze(1)?, recurrent, kept, *precision)
            }
        }
    }
}

impl CustomOp1 for CpuLayer {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, steps, inputs) = layout.shape().dims3()?;
        if inputs != self.inputs {
            bail!("lstm: the input has {inputs} values a step, but the layer takes {}", self.inputs);
        }
        let dims = Dims { batch, steps, directions: self.projections.len(), hidden: self.hidden };
        let x = crate::contiguous_f32(x, layout, "lstm")?;
        let output = cpu::lstm(dims, cpu::Input::Raw(x, &self.projections), &self.recurrent);
        Ok((CpuStorage::F32(output), dims.output()))
    }
}
