//! A layer with its weights.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{Dims, cpu, lstm};
use crate::conv2d::{Activation, Conv2d, cpu::Packed};

/// One LSTM layer whose weights are packed for their device: the projection of the input, then the recurrence.
///
/// A GPU projects all steps with one matrix product. The CPU projects a few steps at a time, which needs less memory.
#[derive(Debug)]
pub struct Layer {
    inputs: usize,
    projection: Projection,
    /// `(directions, 4 * hidden, hidden)`.
    recurrent: Tensor,
}

/// The linear layer that maps `inputs` values to the gates.
#[derive(Debug)]
enum Projection {
    /// One layer for each direction.
    Cpu(Vec<Packed>),
    /// A 1 x 1 convolution for all directions.
    Gpu(Conv2d),
}

impl Layer {
    /// Packs a layer:
    ///
    /// - `input`: `(directions * 4 * hidden, inputs)` f32, `W_ih` of each direction;
    /// - `bias`: `(directions * 4 * hidden,)` f32, the sum of PyTorch's two biases;
    /// - `recurrent`: `(directions, 4 * hidden, hidden)` f32, `W_hh` of each direction.
    ///
    /// # Errors
    /// The shapes do not fit each other, a tensor is not f32, or the device fails.
    pub fn new(input: &Tensor, bias: &Tensor, recurrent: &Tensor) -> Result<Self> {
        let (directions, gates, hidden) = recurrent.dims3()?;
        let (width, inputs) = input.dims2()?;
        if gates != 4 * hidden || width != directions * gates || bias.dims() != [width] || inputs == 0 {
            bail!(
                "lstm: weights of the shapes {:?}, {:?} and {:?} do not fit each other",
                input.shape(),
                bias.shape(),
                recurrent.shape()
            );
        }
        let projection = if input.device().is_cpu() {
            let (weights, bias) = (input.flatten_all()?.to_vec1()?, bias.to_vec1()?);
            let one = |direction: usize| {
                let gates = direction * gates..(direction + 1) * gates;
                Packed::linear(inputs, &weights[gates.start * inputs..gates.end * inputs], &bias[gates])
            };
            Projection::Cpu((0..directions).map(one).collect())
        } else {
            let kernel = input.reshape((width, inputs, 1, 1))?;
            Projection::Gpu(Conv2d::new(&kernel, bias, 1, [0, 0])?)
        };
        Ok(Self { inputs, projection, recurrent: recurrent.contiguous()? })
    }

    /// Maps `x` `(batch, steps, inputs)` to `(batch, steps, directions * hidden)`, f32.
    ///
    /// # Errors
    /// The number of inputs, the type or the device of `x` does not fit, or as for [`lstm`].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.projection {
            Projection::Cpu(_) => x.contiguous()?.apply_op1_no_bwd(&Forward(self)),
            Projection::Gpu(projection) => {
                let gates = projection.forward(&x.unsqueeze(1)?, None, Activation::Identity)?; // (batch, 1, steps, gates)
                lstm(&gates.squeeze(1)?, &self.recurrent)
            }
        }
    }
}

/// One forward pass on the CPU.
struct Forward<'a>(&'a Layer);

impl CustomOp1 for Forward<'_> {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Self(layer) = self;
        let Projection::Cpu(projections) = &layer.projection else {
            bail!("lstm: the input and the weights are on different devices");
        };
        let ((batch, steps, inputs), (directions, _, hidden)) =
            (layout.shape().dims3()?, layer.recurrent.dims3()?);
        if inputs != layer.inputs {
            bail!("lstm: the input has {inputs} values a step, but the layer takes {}", layer.inputs);
        }
        let dims = Dims { batch, steps, directions, hidden };
        let x = crate::contiguous_f32(x, layout, "lstm")?;
        let (recurrent, layout) = layer.recurrent.storage_and_layout();
        let candle_core::Storage::Cpu(recurrent) = &*recurrent else {
            bail!("lstm: the input and the weights are on different devices");
        };
        let recurrent = crate::contiguous_f32(recurrent, layout, "lstm")?;
        let output = cpu::lstm(dims, cpu::Input::Raw(x, projections), recurrent);
        Ok((CpuStorage::F32(output), dims.output()))
    }
}
