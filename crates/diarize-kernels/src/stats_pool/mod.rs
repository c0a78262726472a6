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

/// Pools `x` with every set of weights over all steps.
///
/// - `x`: `(batch, rows, time, channels)` f32;
/// - `masks`: `(batch, masks, time)` f32, the weights;
/// - returns `(batch, masks, 2 * channels * rows)` f32: the means, then the deviations, each `(channel, row)`.
///
/// # Errors
/// The shapes do not fit each other, a tensor is not f32, or the device fails.
pub fn stats_pool(x: &Tensor, masks: &Tensor) -> Result<Tensor> {
    let (batch, rows, time, channels) = x.dims4()?;
    let (weighted, sets, steps) = masks.dims3()?;
    if weighted != batch || steps != time {
        let shape = x.shape();
        bail!("stats_pool: weights for {weighted} x {steps} steps do not fit an input of shape {shape:?}");
    }
    let op = StatsPool { rows, time, channels, first: each_input(batch, sets, rows * time) };
    let pooled = x.contiguous()?.apply_op2_no_bwd(&masks.contiguous()?.flatten(0, 1)?, &op)?;
    pooled.reshape((batch, sets, 2 * channels * rows))
}

/// Pools `x` with sets of weights, each over its own section of the steps.
///
/// - `x`: `(rows, time, channels)` f32;
/// - `weights`: `(sets, length)` f32; weights of steps after the last one must be 0;
/// - `first`: the step of each set's first weight;
/// - returns `(sets, 2 * channels * rows)` f32, as [`stats_pool`].
///
/// # Errors
/// The shapes do not fit each other, a tensor is not f32, or the device fails.
pub fn stats_pool_sections(x: &Tensor, weights: &Tensor, first: &[usize]) -> Result<Tensor> {
    let (rows, time, channels) = x.dims3()?;
    if weights.dims2()?.0 != first.len() || first.iter().any(|&first| first >= time) {
        bail!("stats_pool: sections do not fit weights of shape {:?} and {time} steps", weights.shape());
    }
    let op = StatsPool { rows, time, channels, first: first.to_vec() };
    x.contiguous()?.apply_op2_no_bwd(&weights.contiguous()?, &op)
}

/// For each of `sets` sets of weights of each input, the first step of the input; inputs have `steps` steps in all.
fn each_input(batch: usize, sets: usize, steps: usize) -> Vec<usize> {
    (0..batch).flat_map(|input| std::iter::repeat_n(input * steps, sets)).collect()
}

/// The sizes of one call, and where each set of weights begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsPool {
    /// Rows of an input, such as frequency bands.
    pub rows: usize,
    /// Number of time steps of a row.
    pub time: usize,
    /// Number of channels.
    pub channels: usize,
    /// The step of each set's first weight, in the first row of the set's input. Steps are counted through all inputs and
    /// rows.
    pub first: Vec<usize>,
}

impl StatsPool {
    fn output(&self) -> Shape {
        (self.first.len(), 2 * self.channels * self.rows).into()
    }

    /// The GPU plan for sets of `length` weights.
    ///
    /// # Errors
    /// A size is too large for a GPU.
    pub fn plan(&self, length: usize) -> Result<Plan> {
        const THREADS: usize = 128;
        let &Self { rows, time, channels, .. } = self;
        let launch = Launch {
            kernel: Kernel {
                name: "stats_pool",
                text: include_str!("stats_pool.kernel"),
                threads: THREADS,
                constants: vec![],
            },
            groups: [self.first.len() * rows, channels.div_ceil(THREADS), 1],
            reads: vec![Buffer::Input(0), Buffer::Input(1), Buffer::Table(0)],
            writes: vec![Buffer::Output],
            params: [rows, time, channels, length].map(word).into_iter().collect::<Result<_>>()?,
        };
        Ok(Plan {
            operation: "stats_pool",
            tables: vec![self.first.iter().copied().map(word).collect::<Result<_>>()?],
            output: self.output().elem_count(),
            launches: vec![launch],
            ..Plan::default()
        })
    }
}

impl CustomOp2 for StatsPool {
    fn name(&self) -> &'static str {
        "stats_pool"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weights: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = crate::contiguous_f32(x, x_layout, "stats_pool")?;
        let (_, length) = layout.shape().dims2()?;
        let weights = crate::contiguous_f32(weights, layout, "stats_pool")?;
        Ok((CpuStorage::F32(cpu::stats_pool(self, x, weights, length)), self.output()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        weights: &CudaStorage,
        layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let plan = self.plan(layout.shape().dims2()?.1)?;
        Ok((crate::gpu::cuda::run(&plan, &[(x, x_layout), (weights, layout)])?, self.output()))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(
        &self,
        x: &MetalStorage,
        x_layout: &Layout,
        weights: &MetalStorage,
        layout: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        let plan = self.plan(layout.shape().dims2()?.1)?;
        Ok((crate::gpu::metal::run(&plan, &[(x, x_layout), (weights, layout)])?, self.output()))
    }
}
