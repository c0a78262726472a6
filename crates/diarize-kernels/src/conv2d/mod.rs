//! Convolution over two axes, channels last, with what comes after it in the same pass:
//! `y[h, w, o] = act(bias[o] + residual[h, w, o] + sum x[h s + i - p, w s + j - p, c] kernel[o, c, i, j])`
//! for stride `s` and padding `p` with zeros, `act` the rectifier `max(., 0)` or nothing.
//!
//! Source: `torch.nn.Conv2d`; batch norm is folded into kernel and bias by the caller.

mod cpu;
pub mod reference;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};

/// A square convolution with its weights, packed for the device that they are on.
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
    pub size: usize,
    /// Input rows and columns from one output to the next.
    pub stride: usize,
    /// Rows and columns of zeros around the input.
    pub padding: usize,
}

impl Dims {
    /// Outputs along an axis of `length` inputs.
    pub fn output_length(&self, length: usize) -> usize {
        (length + 2 * self.padding).checked_sub(self.size).map_or(0, |rest| 1 + rest / self.stride)
    }
}

impl Conv2d {
    /// A convolution of `kernel` `(outputs, inputs, size, size)` and `bias` `(outputs,)`, both f32.
    pub fn new(kernel: &Tensor, bias: &Tensor, stride: usize, padding: usize) -> Result<Self> {
        let (outputs, inputs, size, columns) = kernel.dims4()?;
        if size != columns || bias.dims() != [outputs] || stride == 0 {
            bail!("conv2d: kernel {:?} with bias {:?} and stride {stride}", kernel.shape(), bias.shape());
        }
        let dims = Dims { inputs, outputs, size, stride, padding };
        let weights = kernel.flatten_all()?.to_vec1()?;
        Ok(Self { bias: bias.clone(), packed: cpu::Packed::new(dims, &weights, &bias.to_vec1()?), dims })
    }

    /// `x` `(batch, rows, columns, inputs)` to `(batch, rows', columns', outputs)`, f32; `residual`, of
    /// the output's shape, is added before the rectifier.
    pub fn forward(&self, x: &Tensor, residual: Option<&Tensor>, rectify: bool) -> Result<Tensor> {
        if !x.device().same_device(self.bias.device()) {
            bail!("conv2d: the input is on another device than the weights");
        }
        let residual = residual.map(Tensor::contiguous).transpose()?;
        x.contiguous()?.apply_op1_no_bwd(&Pass { conv: self, residual: residual.as_ref(), rectify })
    }
}

/// One application of a convolution.
struct Pass<'a> {
    conv: &'a Conv2d,
    residual: Option<&'a Tensor>,
    rectify: bool,
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
        let shape = Shape::from((batch, dims.output_length(rows), dims.output_length(columns), dims.outputs));
        let mut y = vec![0f32; shape.elem_count()];
        let pass = |residual: Option<&[f32]>, y: &mut [f32]| {
            cpu::conv2d(&self.conv.packed, x, [rows, columns], residual, self.rectify, y);
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
