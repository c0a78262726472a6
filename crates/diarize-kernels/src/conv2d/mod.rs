//! Two-dimensional convolution, channels last, fused with bias, residual and activation:
//! `y[h, w, o] = act(bias[o] + residual[h, w, o] + sum x[h s + i - p, w s + j - q, c] kernel[o, c, i, j])`
//! for stride `s`, padding by `p` rows and `q` columns of zeros, and activation `act`.
//!
//! With one row it is a convolution over time. With a 1 x 1 kernel it is a linear layer.
//!
//! On the CPU, 3 x 3 kernels of stride 1 whose channels fill whole vectors use Winograd's transform. All
//! others are computed directly.
//!
//! Source: `torch.nn.Conv2d`. The caller folds batch norm into kernel and bias.

pub(crate) mod cpu;
mod layout;
mod matrix;
mod plain;
pub mod reference;
mod strips;
mod winograd;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Device, InplaceOp2, Layout, Result, Shape, Tensor, bail};

use self::{layout::outputs_last, strips::Images};
use crate::gpu::{Kept, Plan, Precision};

/// A convolution whose weights are packed for their device.
#[derive(Debug)]
pub struct Conv2d {
    dims: Dims,
    bias: Tensor,
    weights: Weights,
    precision: Precision,
    /// The type of the outputs.
    outputs: DType,
}

/// The kernel, laid out in the order in which it is read.
#[derive(Debug)]
enum Weights {
    Cpu(cpu::Packed),
    /// Transformed by Winograd's algorithm.
    Winograd(winograd::Packed),
    #[cfg_attr(
        not(any(feature = "cuda", feature = "metal")),
        expect(dead_code, reason = "no GPU in this build")
    )]
    Gpu {
        /// `(rows * columns * inputs, outputs)`.
        kernel: Tensor,
        kept: Kept,
    },
}

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Number of input channels.
    pub inputs: usize,
    /// Number of output channels.
    pub outputs: usize,
    /// Rows and columns of the kernel.
    pub size: [usize; 2],
    /// Step between neighboring outputs, in input rows and columns.
    pub stride: usize,
    /// Rows of zeros above and below the input, and columns of zeros to its left and right.
    pub padding: [usize; 2],
}

/// What is stored as f16, two values in a word, instead of f32: on NVIDIA GPUs, with [`Precision::F16`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Halves {
    /// The input, whose number of channels must be a multiple of 16, and the residual.
    pub input: bool,
    /// The output, whose number of channels must be a multiple of 8.
    pub output: bool,
}

/// The activation function, applied to each output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `x`.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `|x|`.
    Absolute,
    /// `max(x, 0.01 x)`.
    LeakyRelu,
}

impl Dims {
    /// Rows and columns of the output for an input of size `[rows, columns]`.
    pub fn output(&self, input: [usize; 2]) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let padded = input[axis] + 2 * self.padding[axis];
            padded.checked_sub(self.size[axis]).map_or(0, |rest| 1 + rest / self.stride)
        })
    }

    /// The shape of the output for an input `(batch, rows, columns, inputs)`.
    fn output_shape(&self, input: &Shape) -> Result<Shape> {
        let (batch, rows, columns, inputs) = input.dims4()?;
        if inputs != self.inputs {
            bail!("conv2d: the input has {inputs} channels, but the kernel takes {}", self.inputs);
        }
        let [rows, columns] = self.output([rows, columns]);
        Ok((batch, rows, columns, self.outputs).into())
    }

    /// The GPU plan for an input `(batch, rows, columns, inputs)`. Its further inputs are the kernel as
    /// `(rows * columns * inputs, outputs)`, the bias and, if `residual`, the residual.
    ///
    /// # Errors
    /// The input's number of channels is not the kernel's, or no kernel reads or writes such `halves`.
    pub fn plan(
        &self,
        input: &Shape,
        residual: bool,
        activation: Activation,
        halves: Halves,
    ) -> Result<Plan> {
        let output = self.output_shape(input)?;
        let plan = match matrix::plan(self, input, residual, activation, halves)? {
            Some(plan) => plan,
            None if halves.input => bail!("conv2d: no kernel reads f16 with {} channels", self.inputs),
            None => plain::plan(self, input, residual, activation, halves.output)?,
        };
        if halves.output && !self.outputs.is_multiple_of(8) {
            bail!("conv2d: no kernel writes f16 with {} channels", self.outputs);
        }
        let output = output.elem_count() / if halves.output { 2 } else { 1 };
        Ok(Plan { operation: "conv2d", output, halves: halves.output, ..plan })
    }
}

impl Conv2d {
    /// Packs a convolution with `kernel` `(outputs, inputs, rows, columns)` and `bias` `(outputs,)`, both f32. It runs on
    /// the device of the bias.
    ///
    /// # Errors
    /// The shapes do not fit each other, the kernel is empty, the stride is 0, a tensor is not f32, or the device
    /// fails.
    pub fn new(kernel: &Tensor, bias: &Tensor, stride: usize, padding: [usize; 2]) -> Result<Self> {
        match bias.device() {
            Device::Cpu => Self::pack(kernel, bias, stride, padding, false),
            device => Self::for_gpu(kernel, bias, stride, padding)?.moved_to(device),
        }
    }

    /// Like [`Self::new`], but packs for a GPU, in ordinary memory. [`Self::moved_to`] copies it there. So weights can be
    /// packed while the GPU is still being opened.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn for_gpu(kernel: &Tensor, bias: &Tensor, stride: usize, padding: [usize; 2]) -> Result<Self> {
        Self::pack(kernel, bias, stride, padding, true)
    }

    /// The convolution on another device, if it is packed for a GPU.
    ///
    /// # Errors
    /// The device fails.
    pub fn moved_to(self, device: &Device) -> Result<Self> {
        let weights = match self.weights {
            Weights::Gpu { kernel, .. } => {
                Weights::Gpu { kernel: kernel.to_device(device)?, kept: Kept::default() }
            }
            cpu => return Ok(Self { weights: cpu, ..self }),
        };
        Ok(Self { weights, bias: self.bias.to_device(device)?, ..self })
    }

    fn pack(
        kernel: &Tensor,
        bias: &Tensor,
        stride: usize,
        padding: [usize; 2],
        for_gpu: bool,
    ) -> Result<Self> {
        let (outputs, inputs, rows, columns) = kernel.dims4()?;
        if bias.dims() != [outputs] || stride == 0 || inputs * rows * columns == 0 {
            bail!(
                "conv2d: a kernel of shape {:?} does not go with a bias of shape {:?} and a stride of {stride}",
                kernel.shape(),
                bias.shape()
            );
        }
        let dims = Dims { inputs, outputs, size: [rows, columns], stride, padding };
        let kernel: Vec<f32> = kernel.flatten_all()?.to_vec1()?;
        let weights = if for_gpu {
            let kernel = outputs_last(&kernel, inputs, rows * columns);
            let kernel = Tensor::from_vec(kernel, (rows * columns * inputs, outputs), &Device::Cpu)?;
            Weights::Gpu { kernel, kept: Kept::default() }
        } else {
            let bias = bias.to_vec1()?;
            if winograd::Packed::supports(dims) {
                Weights::Winograd(winograd::Packed::new(dims, &kernel, &bias))
            } else {
                Weights::Cpu(cpu::Packed::new(dims, &kernel, &bias))
            }
        };
        Ok(Self {
            dims,
            bias: crate::gpu::aligned(bias)?,
            weights,
            precision: Precision::F32,
            outputs: DType::F32,
        })
    }

    /// The convolution with this precision of products on a GPU's matrix units.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        let weights = match self.weights {
            Weights::Gpu { kernel, .. } => Weights::Gpu { kernel, kept: Kept::default() },
            cpu => cpu,
        };
        Self { precision, weights, ..self }
    }

    /// The convolution with f16 outputs, if its precision is [`Precision::F16`]. Another convolution of that precision can
    /// read them. It would round them anyway, but a residual would remain f32 otherwise.
    #[must_use]
    pub fn storing_f16(self) -> Self {
        let outputs = if self.precision == Precision::F16 { DType::F16 } else { DType::F32 };
        Self { outputs, ..self }
    }

    /// The type of the outputs: f32 or f16.
    pub fn output_type(&self) -> DType {
        self.outputs
    }

    /// Number of input channels.
    pub fn inputs(&self) -> usize {
        self.dims.inputs
    }

    /// Maps `x` `(batch, rows, columns, inputs)` to `(batch, rows', columns', outputs)`, f32, or f16 where an output of
    /// [`Self::storing_f16`] is read or written. `residual` has
    /// the shape of the output and is added before the activation. On the CPU a contiguous `residual` is
    /// overwritten with the output, also for other tensors that share its storage.
    ///
    /// # Errors
    /// A tensor's shape, type or device does not fit, or the device fails.
    pub fn forward(&self, x: &Tensor, residual: Option<Tensor>, activation: Activation) -> Result<Tensor> {
        if !x.device().same_device(self.bias.device()) {
            bail!("conv2d: the input and the weights are on different devices");
        }
        let x = crate::gpu::aligned(x)?;
        match residual {
            Some(residual) if x.device().is_cpu() => {
                let residual = residual.contiguous()?;
                residual.inplace_op2(&x, &IntoResidual { conv: self, activation })?;
                Ok(residual)
            }
            residual => {
                let residual = residual.as_ref().map(crate::gpu::aligned).transpose()?;
                let (input, residual) = (x.dtype(), residual.as_ref());
                x.apply_op1_no_bwd(&Forward { conv: self, input, residual, activation })
            }
        }
    }

    /// Takes more memory for less work in every call, on the CPU and for large kernels only. Results stay the same to the
    /// bit. For convolutions that run very often.
    pub fn keep_transformed(&self) {
        if let Weights::Winograd(packed) = &self.weights {
            packed.keep_transformed();
        }
    }

    /// The shape of the output. A residual must have the same shape.
    fn output_shape(&self, input: &Shape, residual: Option<&Shape>) -> Result<Shape> {
        let shape = self.dims.output_shape(input)?;
        match residual {
            Some(residual) if residual != &shape => {
                bail!("conv2d: the residual has the shape {residual:?}, but the output {shape:?}")
            }
            _ => Ok(shape),
        }
    }

    /// Fills `y`, which holds the residual to add if `residual` is true.
    fn on_cpu(
        &self,
        storage: &CpuStorage,
        layout: &Layout,
        residual: bool,
        activation: Activation,
        y: &mut [f32],
    ) -> Result<()> {
        let (_, rows, columns, _) = layout.shape().dims4()?;
        let x = crate::contiguous_f32(storage, layout, "conv2d")?;
        let images = Images { x, shape: [rows, columns], residual, activation };
        match &self.weights {
            Weights::Cpu(packed) => cpu::conv2d(packed, images, y),
            Weights::Winograd(packed) => winograd::conv2d(packed, images, y),
            Weights::Gpu { .. } => bail!("conv2d: the input and the weights are on different devices"),
        }
        Ok(())
    }
}

/// One forward pass into a new tensor. On the CPU it has no residual; [`IntoResidual`] handles that case.
struct Forward<'a> {
    conv: &'a Conv2d,
    #[cfg_attr(
        not(any(feature = "cuda", feature = "metal")),
        expect(dead_code, reason = "no GPU in this build")
    )]
    /// The type of the input.
    input: DType,
    residual: Option<&'a Tensor>,
    activation: Activation,
}

impl Forward<'_> {
    fn output_shape(&self, input: &Shape) -> Result<Shape> {
        self.conv.output_shape(input, self.residual.map(Tensor::shape))
    }

    /// The GPU plan for an input.
    #[cfg(any(feature = "cuda", feature = "metal"))]
    fn plan(&self, input: &Shape) -> Result<Plan> {
        if self.residual.is_some_and(|residual| residual.dtype() != self.input) {
            bail!("conv2d: the input is {:?}, but the residual is not", self.input);
        }
        let halves = Halves { input: self.input == DType::F16, output: self.conv.outputs == DType::F16 };
        let plan = self.conv.dims.plan(input, self.residual.is_some(), self.activation, halves)?;
        Ok(plan.with_precision(self.conv.precision))
    }

    /// The inputs of [`Dims::plan`] after the first, and the prepared weights.
    #[cfg(any(feature = "cuda", feature = "metal"))]
    fn gpu_inputs(&self) -> Result<(Vec<&Tensor>, &Kept)> {
        let Weights::Gpu { kernel, kept } = &self.conv.weights else {
            bail!("conv2d: the input and the weights are on different devices");
        };
        Ok(([kernel, &self.conv.bias].into_iter().chain(self.residual).collect(), kept))
    }
}

impl CustomOp1 for Forward<'_> {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let shape = self.output_shape(layout.shape())?;
        if self.residual.is_some() {
            bail!("conv2d: on the CPU the output must be written into the residual");
        }
        // SAFETY: the strips cover the output, and each strip writes all of its rows.
        let mut y = unsafe { crate::uninitialized(shape.elem_count()) };
        self.conv.on_cpu(storage, layout, false, self.activation, &mut y)?;
        Ok((CpuStorage::F32(y), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let shape = self.output_shape(layout.shape())?;
        let plan = self.plan(layout.shape())?;
        let (others, kept) = self.gpu_inputs()?;
        let others: Vec<_> = others.into_iter().map(Tensor::storage_and_layout).collect();
        let mut inputs = vec![(storage, layout)];
        for (storage, layout) in &others {
            inputs.push((crate::gpu::cuda::storage(storage)?, layout));
        }
        Ok((crate::gpu::cuda::run_keeping(&plan, &inputs, kept)?, shape))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(&self, storage: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        let shape = self.output_shape(layout.shape())?;
        let plan = self.plan(layout.shape())?;
        let (others, kept) = self.gpu_inputs()?;
        let others: Vec<_> = others.into_iter().map(Tensor::storage_and_layout).collect();
        let mut inputs = vec![(storage, layout)];
        for (storage, layout) in &others {
            inputs.push((crate::gpu::metal::storage(storage)?, layout));
        }
        Ok((crate::gpu::metal::run_keeping(&plan, &inputs, kept)?, shape))
    }
}

/// One forward pass on the CPU that overwrites the residual with the output.
struct IntoResidual<'a> {
    conv: &'a Conv2d,
    activation: Activation,
}

impl InplaceOp2 for IntoResidual<'_> {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        residual: &mut CpuStorage,
        residual_layout: &Layout,
        x: &CpuStorage,
        layout: &Layout,
    ) -> Result<()> {
        self.conv.output_shape(layout.shape(), Some(residual_layout.shape()))?;
        let (CpuStorage::F32(y), Some((start, end))) = (residual, residual_layout.contiguous_offsets())
        else {
            bail!("conv2d: the residual is not contiguous f32");
        };
        self.conv.on_cpu(x, layout, true, self.activation, &mut y[start..end])
    }
}
