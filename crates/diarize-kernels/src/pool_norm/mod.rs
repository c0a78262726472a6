//! Max pooling over time, instance norm and leaky ReLU, fused:
//! `p[t, c] = max x[t k .. t k + k, c]` and
//! `y = leaky(weight[c] (p - m[c]) / sqrt(v[c] + 1e-5) + bias[c])`, where `m[c]` and `v[c]` are the mean and the
//! biased variance of `p` over time, and `leaky(z) = max(z, slope z)`. Steps after the last whole window are
//! dropped.
//!
//! Source: `torch.nn.MaxPool1d`, `InstanceNorm1d` and `functional.leaky_relu`, in the order of
//! `pyannote/audio/models/blocks/sincnet.py`.

mod cpu;
pub mod reference;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use crate::gpu::{Buffer, Kernel, Launch, Plan, word, words};

/// Added to the variance before taking the square root.
const EPSILON: f64 = 1e-5;

/// Pooling, norm and activation, with the weights of the norm.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolNorm {
    /// Number of steps that are pooled into one.
    pub window: usize,
    /// Factor for negative outputs, from 0 to 1.
    pub slope: f32,
    /// Scale of each channel.
    pub weight: Vec<f32>,
    /// Shift of each channel.
    pub bias: Vec<f32>,
}

/// A section of an input, and the affine map that is applied to it before pooling.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// First step of the section.
    pub start: usize,
    /// Factor for all values.
    pub scale: f32,
    /// Added to each channel after scaling.
    pub shift: Vec<f32>,
}

impl PoolNorm {
    /// Maps `x` `(batch, time, channels)` to `(batch, time / window, channels)`, f32.
    ///
    /// # Errors
    /// The tensor's shape or type is wrong, or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1_no_bwd(self)
    }

    /// Maps windows of one `x` `(1, time, channels)` to `(windows, length / self.window, channels)`, f32. Each
    /// window has `length` steps and is first replaced by `|scale x + shift|`; windows may overlap.
    ///
    /// # Errors
    /// The tensor's shape or type is wrong, a window does not fit, or the device fails.
    pub fn forward_windows(&self, x: &Tensor, windows: &[Window], length: usize) -> Result<Tensor> {
        x.contiguous()?.apply_op1_no_bwd(&Windows { op: self, windows, length })
    }

    /// The GPU plan for an input `(batch, time, channels)`, and the output shape
    /// `(batch, time / window, channels)`.
    ///
    /// # Errors
    /// The input's number of channels is not the norm's.
    pub fn plan(&self, input: &Shape) -> Result<(Plan, Shape)> {
        let (batch, time, channels) = input.dims3()?;
        self.check(channels)?;
        let starts = (0..batch).map(|input| word(input * time)).collect::<Result<_>>()?;
        self.plan_of(channels, time, [starts, Vec::new(), Vec::new()])
    }

    /// The GPU plan for sections of `length` steps. The tables are the first step of each, their scales, and their shifts
    /// for all channels; without scales, the values are pooled as they are.
    fn plan_of(&self, channels: usize, length: usize, tables: [Vec<u32>; 3]) -> Result<(Plan, Shape)> {
        const CHANNELS_EACH: usize = 16;
        const LANES: usize = 32;
        let (sections, pooled) = (tables[0].len(), length / self.window);
        let launch = Launch {
            kernel: Kernel {
                name: "pool_norm",
                text: include_str!("pool_norm.kernel"),
                threads: CHANNELS_EACH * LANES,
                constants: vec![
                    ("WINDOW", self.window),
                    ("CHANNELS_EACH", CHANNELS_EACH),
                    ("LANES", LANES),
                    ("AFFINE", usize::from(!tables[1].is_empty())),
                ],
            },
            groups: [channels.div_ceil(CHANNELS_EACH), sections, usize::from(pooled > 0)],
            reads: [Buffer::Input(0)].into_iter().chain((0..5).map(Buffer::Table)).collect(),
            writes: vec![Buffer::Output],
            params: vec![word(pooled)?, word(channels)?, self.slope.to_bits()],
        };
        let plan = Plan {
            operation: "pool_norm",
            tables: [words(&self.weight), words(&self.bias)].into_iter().chain(tables).collect(),
            scratch: vec![],
            output: sections * pooled * channels,
            launches: vec![launch],
            ..Plan::default()
        };
        Ok((plan, (sections, pooled, channels).into()))
    }

    /// Checks that window and weights are valid for `channels` channels.
    fn check(&self, channels: usize) -> Result<()> {
        if self.window == 0 || [self.weight.len(), self.bias.len()] != [channels; 2] {
            let Self { window, weight, bias, .. } = self;
            let sizes = (weight.len(), bias.len());
            bail!(
                "pool_norm: an input of {channels} channels does not fit a window of {window} steps and {sizes:?} \
                 weights and biases"
            );
        }
        Ok(())
    }
}

impl CustomOp1 for PoolNorm {
    fn name(&self) -> &'static str {
        "pool_norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (batch, time, channels) = layout.shape().dims3()?;
        self.check(channels)?;
        let x = crate::contiguous_f32(storage, layout, "pool_norm")?;
        // SAFETY: every step of every input is written.
        let mut y = unsafe { crate::uninitialized(batch * (time / self.window) * channels) };
        cpu::pool_norm(self, x, time, &mut y);
        Ok((CpuStorage::F32(y), (batch, time / self.window, channels).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (plan, shape) = self.plan(layout.shape())?;
        Ok((crate::gpu::cuda::run(&plan, &[(storage, layout)])?, shape))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(&self, storage: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        let (plan, shape) = self.plan(layout.shape())?;
        Ok((crate::gpu::metal::run(&plan, &[(storage, layout)])?, shape))
    }
}

/// One call of [`PoolNorm::forward_windows`].
#[derive(Clone, Copy, Debug)]
pub struct Windows<'a> {
    /// Pooling, norm and activation.
    pub op: &'a PoolNorm,
    /// The windows.
    pub windows: &'a [Window],
    /// Steps of a window.
    pub length: usize,
}

impl Windows<'_> {
    /// The GPU plan for an input `(1, time, channels)`, and the output shape `(windows, length / window, channels)`.
    ///
    /// # Errors
    /// The input's shape is wrong, or a window does not fit.
    pub fn plan(&self, input: &Shape) -> Result<(Plan, Shape)> {
        let Self { op, windows, length } = *self;
        let channels = self.check(input)?;
        let starts = windows.iter().map(|window| word(window.start)).collect::<Result<_>>()?;
        let scales = windows.iter().map(|window| window.scale.to_bits()).collect();
        let shifts = windows.iter().flat_map(|window| words(&window.shift)).collect();
        op.plan_of(channels, length, [starts, scales, shifts])
    }

    /// Checks that the windows fit the input, and returns its number of channels.
    fn check(&self, input: &Shape) -> Result<usize> {
        let Self { op, windows, length } = *self;
        let (batch, time, channels) = input.dims3()?;
        op.check(channels)?;
        let fits = |window: &Window| window.start + length <= time && window.shift.len() == channels;
        if batch != 1 || !windows.iter().all(fits) {
            bail!("pool_norm: windows of {length} steps do not fit an input of shape {input:?}");
        }
        Ok(channels)
    }
}

impl CustomOp1 for Windows<'_> {
    fn name(&self) -> &'static str {
        "pool_norm of windows"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Self { op, windows, length } = *self;
        let channels = self.check(layout.shape())?;
        let x = crate::contiguous_f32(storage, layout, "pool_norm")?;
        let shape = (windows.len(), length / op.window, channels);
        // SAFETY: every step of every window is written.
        let mut y = unsafe { crate::uninitialized(shape.0 * shape.1 * shape.2) };
        cpu::windows(op, x, windows, length, &mut y);
        Ok((CpuStorage::F32(y), shape.into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (plan, shape) = self.plan(layout.shape())?;
        Ok((crate::gpu::cuda::run(&plan, &[(storage, layout)])?, shape))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(&self, storage: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        let (plan, shape) = self.plan(layout.shape())?;
        Ok((crate::gpu::metal::run(&plan, &[(storage, layout)])?, shape))
    }
}
