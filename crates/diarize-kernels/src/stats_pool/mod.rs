//! Statistics pooling: weighted mean and standard deviation over time, for several sets of weights.
//!
//! With weights `w[t]`, their sum `s = sum w[t] + 1e-8` and the sum of their squares `q`:
//! `mean = sum w[t] x[t] / s` and `deviation = sqrt(sum w[t] (x[t] - mean)^2 / (s - q / s + 1e-8))`. If all weights are
//! 0, so are both. The sums with `1e-8` are f32, so it only matters where they would be 0.
//!
//! Source: `pyannote/audio/models/blocks/pooling.py`.

mod cpu;
pub mod reference;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

use crate::gpu::{Buffer, Kernel, Launch, Plan, word};

/// Avoids division by zero; pyannote's `1e-8`.
const EPSILON: f32 = 1e-8;

/// The sizes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Number of inputs.
    pub batch: usize,
    /// Rows of an input, such as frequency bands.
    pub rows: usize,
    /// Number of time steps.
    pub time: usize,
    /// Number of channels.
    pub channels: usize,
    /// Sets of weights for each input.
    pub masks: usize,
}

/// Pools `x` with every set of weights.
///
/// - `x`: `(batch, rows, time, channels)` f32;
/// - `masks`: `(batch, masks, time)` f32, the weights;
/// - returns `(batch, masks, 2 * channels * rows)` f32: the means, then the deviations, each `(channel, row)`.
///
/// # Errors
/// The shapes do not fit each other, a tensor is not f32, or the device fails.
pub fn stats_pool(x: &Tensor, masks: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op2_no_bwd(&masks.contiguous()?, &StatsPool)
}

impl Dims {
    /// Reads the sizes from inputs `(batch, rows, time, channels)` and weights `(batch, masks, time)`.
    fn of(x: &Shape, masks: &Shape) -> Result<Self> {
        let (batch, rows, time, channels) = x.dims4()?;
        let (weighted, masks, steps) = masks.dims3()?;
        if weighted != batch || steps != time {
            bail!("stats_pool: weights for {weighted} x {steps} steps do not fit an input of shape {x:?}");
        }
        Ok(Self { batch, rows, time, channels, masks })
    }

    fn output(&self) -> Shape {
        (self.batch, self.masks, 2 * self.channels * self.rows).into()
    }

    /// The GPU plan.
    ///
    /// # Errors
    /// A size is too large for a GPU.
    pub fn plan(&self) -> Result<Plan> {
        const THREADS: usize = 128;
        let &Self { batch, rows, time, channels, masks } = self;
        let launch = Launch {
            kernel: Kernel {
                name: "stats_pool",
                text: include_str!("stats_pool.kernel"),
                threads: THREADS,
                constants: vec![],
            },
            groups: [batch * masks * rows, channels.div_ceil(THREADS), 1],
            reads: vec![Buffer::Input(0), Buffer::Input(1)],
            writes: vec![Buffer::Output],
            params: [rows, time, channels, masks].map(word).into_iter().collect::<Result<_>>()?,
        };
        Ok(Plan {
            operation: "stats_pool",
            output: self.output().elem_count(),
            launches: vec![launch],
            ..Plan::default()
        })
    }
}

struct StatsPool;

impl CustomOp2 for StatsPool {
    fn name(&self) -> &'static str {
        "stats_pool"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        masks: &CpuStorage,
        masks_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dims = Dims::of(x_layout.shape(), masks_layout.shape())?;
        let x = crate::contiguous_f32(x, x_layout, "stats_pool")?;
        let masks = crate::contiguous_f32(masks, masks_layout, "stats_pool")?;
        Ok((CpuStorage::F32(cpu::stats_pool(dims, x, masks)), dims.output()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        masks: &CudaStorage,
        masks_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let dims = Dims::of(x_layout.shape(), masks_layout.shape())?;
        let inputs = [(x, x_layout), (masks, masks_layout)];
        Ok((crate::gpu::cuda::run(&dims.plan()?, &inputs)?, dims.output()))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(
        &self,
        x: &MetalStorage,
        x_layout: &Layout,
        masks: &MetalStorage,
        masks_layout: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        let dims = Dims::of(x_layout.shape(), masks_layout.shape())?;
        let inputs = [(x, x_layout), (masks, masks_layout)];
        Ok((crate::gpu::metal::run(&dims.plan()?, &inputs)?, dims.output()))
    }
}
