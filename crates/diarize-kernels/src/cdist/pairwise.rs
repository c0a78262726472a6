//! Distances between the rows of tensors, computed on the tensors' device.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};
use ndarray::ArrayView2;

use super::reference;
use crate::gpu::{Buffer, Kernel, Launch, Plan, aligned, word};

/// A distance between two vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// `sqrt(Σ (a - b)²)`.
    Euclidean,
    /// `1 - a·b / (|a| |b|)`, from 0 to 2. NaN if either vector is zero.
    Cosine,
}

/// The distance from every row of `a` `(n, dimension)` to every row of `b` `(m, dimension)`: `(n, m)`, all
/// f32. For vectors of length about 1, the error is at most 1e-5 times the larger of 1 and the distance.
///
/// # Errors
/// The tensors have different dimensions, types or devices, or the device fails.
pub fn pairwise(a: &Tensor, b: &Tensor, metric: Metric) -> Result<Tensor> {
    aligned(a)?.apply_op2_no_bwd(&aligned(b)?, &Pairwise(metric))
}

/// The distance of every pair of the `n` rows `(n, dimension)`, f32: `n (n - 1) / 2` values in the order of
/// [`super::euclidean_pairs`], one after the other, with the accuracy of [`pairwise`].
///
/// # Errors
/// The tensor is not f32 or not two-dimensional, or the device fails.
pub fn condensed(rows: &Tensor, metric: Metric) -> Result<Tensor> {
    aligned(rows)?.apply_op1_no_bwd(&Condensed(metric))
}

/// The GPU plan of [`pairwise`] for inputs `(n, dimension)` and `(m, dimension)`, and the output shape `(n, m)`.
///
/// # Errors
/// The inputs have different dimensions.
pub fn plan(metric: Metric, a: &Shape, b: &Shape) -> Result<(Plan, Shape)> {
    let (n, m) = (a.dims2()?.0, b.dims2()?.0);
    Ok((plan_of(metric, a, b, false)?, (n, m).into()))
}

/// The GPU plan of [`condensed`] for an input `(n, dimension)`, and the output shape `(n (n - 1) / 2,)`.
///
/// # Errors
/// The input is not two-dimensional.
pub fn condensed_plan(metric: Metric, rows: &Shape) -> Result<(Plan, Shape)> {
    let plan = plan_of(metric, rows, rows, true)?;
    let pairs = plan.output;
    Ok((plan, pairs.into()))
}

fn plan_of(metric: Metric, a: &Shape, b: &Shape, condensed: bool) -> Result<Plan> {
    const TILE: usize = 128;
    const DEPTH: usize = 8;
    const SCALE_THREADS: usize = 256;
    let ((n, dimension), (m, other)) = (a.dims2()?, b.dims2()?);
    if dimension != other {
        bail!("cdist: the vectors have different dimensions, {dimension} and {other}");
    }
    let flag = |name, set| (name, usize::from(set));
    let kernel = |name, threads| Kernel {
        name,
        text: include_str!("cdist.kernel"),
        threads,
        constants: vec![
            ("TILE", TILE),
            ("DEPTH", DEPTH),
            flag("COSINE", metric == Metric::Cosine),
            flag("CONDENSED", condensed),
            flag("ALIGNED", dimension % 4 == 0),
            flag("WIDE", m % 4 == 0),
        ],
    };
    let second = usize::from(!condensed);
    let mut launches = Vec::new();
    let mut scales = [Buffer::Input(0); 2];
    if metric == Metric::Cosine {
        scales = [Buffer::Scratch(0), Buffer::Scratch(second)];
        for (index, count) in [n, m].into_iter().enumerate().take(1 + second) {
            launches.push(Launch {
                kernel: kernel("scales", SCALE_THREADS),
                groups: [count.div_ceil(SCALE_THREADS / 32), 1, 1],
                reads: vec![Buffer::Input(index)],
                writes: vec![Buffer::Scratch(index)],
                params: vec![word(count)?, word(dimension)?],
            });
        }
    }
    launches.push(Launch {
        kernel: kernel("cdist", (TILE / 8) * (TILE / 8)),
        groups: [m.div_ceil(TILE), n.div_ceil(TILE), 1],
        reads: vec![Buffer::Input(0), Buffer::Input(second), scales[0], scales[1]],
        writes: vec![Buffer::Output],
        params: vec![word(n)?, word(m)?, word(dimension)?],
    });
    Ok(Plan {
        operation: "cdist",
        tables: vec![],
        scratch: if metric == Metric::Cosine { vec![n, m] } else { vec![] },
        output: if condensed { n * n.saturating_sub(1) / 2 } else { n * m },
        launches,
        ..Plan::default()
    })
}

struct Pairwise(Metric);

impl CustomOp2 for Pairwise {
    fn name(&self) -> &'static str {
        "cdist"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        la: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, shape) = plan(self.0, la.shape(), lb.shape())?;
        let rows = |values, layout: &Layout| {
            ArrayView2::from_shape(layout.shape().dims2()?, values).map_err(candle_core::Error::wrap)
        };
        let a = rows(crate::contiguous_f32(a, la, "cdist")?, la)?;
        let b = rows(crate::contiguous_f32(b, lb, "cdist")?, lb)?;
        let distances = match self.0 {
            Metric::Euclidean => reference::euclidean(a, b),
            Metric::Cosine => super::cosine(a, b),
        };
        Ok((CpuStorage::F32(distances.into_iter().map(|distance| distance as f32).collect()), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        a: &CudaStorage,
        la: &Layout,
        b: &CudaStorage,
        lb: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (plan, shape) = plan(self.0, la.shape(), lb.shape())?;
        Ok((crate::gpu::cuda::run(&plan, &[(a, la), (b, lb)])?, shape))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(
        &self,
        a: &MetalStorage,
        la: &Layout,
        b: &MetalStorage,
        lb: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        let (plan, shape) = plan(self.0, la.shape(), lb.shape())?;
        Ok((crate::gpu::metal::run(&plan, &[(a, la), (b, lb)])?, shape))
    }
}

struct Condensed(Metric);

impl CustomOp1 for Condensed {
    fn name(&self) -> &'static str {
        "cdist"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let values = crate::contiguous_f32(storage, layout, "cdist")?;
        let rows =
            ArrayView2::from_shape(layout.shape().dims2()?, values).map_err(candle_core::Error::wrap)?;
        let distances = match self.0 {
            Metric::Euclidean => super::euclidean_pairs(rows).concat(),
            Metric::Cosine => super::cosine_pairs(rows).concat(),
        };
        let distances: Vec<f32> = distances.into_iter().map(|distance| distance as f32).collect();
        let shape = distances.len().into();
        Ok((CpuStorage::F32(distances), shape))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (plan, shape) = condensed_plan(self.0, layout.shape())?;
        Ok((crate::gpu::cuda::run(&plan, &[(storage, layout)])?, shape))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(&self, storage: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        let (plan, shape) = condensed_plan(self.0, layout.shape())?;
        Ok((crate::gpu::metal::run(&plan, &[(storage, layout)])?, shape))
    }
}
