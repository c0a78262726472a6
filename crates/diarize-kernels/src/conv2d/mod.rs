//! Convolution over two axes, channels last, with what comes after it in the same pass:
//! `y[h, w, o] = act(bias[o] + residual[h, w, o] + sum x[h s + i - p, w s + j - q, c] kernel[o, c, i, j])`
//! for stride `s`, padding with `p` rows and `q` columns of zeros, and an activation `act`.
//!
//! With one row it is a convolution over time, and with a kernel of 1 x 1 a linear layer.
//!
//! Source: `torch.nn.Conv2d`; batch norm is folded into kernel and bias by the caller.

mod cpu;
pub mod reference;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};

/// A convolution with its weights, packed for the device that they are on.
#[derive(Debug)]
pub struct Conv2d {
    bias: Tensor,
    packed: cpu::Packed,
    dims: Dims,
}

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Rows and columns of the kernel.
    pub size: [usize; 2],
    /// Input rows and columns from one output to the next.
    pub stride: usize,
    /// Rows above and below, and columns left and right of the input that count as zeros.
    pub padding: [usize; 2],
}

/// What becomes of each output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `|x|`.
    Absolute,
}

impl Dims {
    /// Rows and columns of the output for an input of `[rows, columns]`.
    pub fn output(&self, input: [usize; 2]) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let padded = input[axis] + 2 * self.padding[axis];
            padded.checked_sub(self.size[axis]).map_or(0, |rest| 1 + rest / self.stride)
        })
    }
}

impl Conv2d {
    /// A convolution of `kernel` `(outputs, inputs, rows, columns)` and `bias` `(outputs,)`, both f32.
    pub fn new(kernel: &Tensor, bias: &Tensor, stride: usize, padding: [usize; 2]) -> Result<Self> {
        let (outputs, inputs, rows, columns) = kernel.dims4()?;
        if bias.dims() != [outputs] || stride == 0 {
            bail!("conv2d: kernel {:?} with bias {:?} and stride {stride}", kernel.shape(), bias.shape());
        }
        let dims = Dims { inputs, outputs, size: [rows, columns], stride, padding };
        let weights = kernel.flatten_all()?.to_vec1()?;
        Ok(Self { bias: bias.clone(), packed: cpu::Packed::new(dims, &weights, &bias.to_vec1()?), dims })
    }

    /// `x` `(batch, rows, columns, inputs)` to `(batch, rows', columns', outputs)`, f32; `residual`, of
    /// the output's shape, is added before the activation.
    pub fn forward(&self, x: &Tensor, residual: Option<&Tensor>, activation: Activation) -> Result<Tensor> {
        if !x.device().same_device(self.bias.device()) {
            bail!("conv2d: the input is on another device than the weights");
        }
        let residual = residual.map(Tensor::contiguous).transpose()?;
        x.contiguous()?.apply_op1_no_bwd(&Pass { conv: self, residual: residual.as_ref(), activation })
    }
}

/// One application of a convolution.
struct Pass<'a> {
    conv: &'a Conv2d,
    residual: Option<&'a Tensor>,
    activation: Activation,
}

impl CustomOp1 for Pass<'_> {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, rows, columns, inputs) = layout.shape().dims4()?;
        let dims = self.conv.dims;
        if inputs != dims.inputs {
            bail!("conv2d: {inputs} channels where the kernel has {}", dims.inputs);
        }
        let x = crate::contiguous_f32(storage, layout, "conv2d")?;
        let [output_rows, output_columns] = dims.output([rows, columns]);
        let shape = Shape::from((batch, output_rows, output_columns, dims.outputs));
        let mut y = vec![0f32; shape.elem_count()];
        let pass = |residual: Option<&[f32]>, y: &mut [f32]| {
            cpu::conv2d(&self.conv.packed, x, [rows, columns], residual, self.activation, y);
        };
        match self.residual {
            None => pass(None, &mut y),
            Some(residual) if residual.shape() == &shape => match &*residual.storage_and_layout().0 {
                Storage::Cpu(storage) => {
                    pass(Some(crate::contiguous_f32(storage, residual.layout(), "conv2d")?), &mut y);
                }
                _ => bail!("conv2d: the residual is on another device than the input"),
            },
            Some(residual) => bail!("conv2d: residual {:?} for an output {shape:?}", residual.shape()),
        }
        Ok((CpuStorage::F32(y), shape))
    }
}
