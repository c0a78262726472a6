//! Distances of tensors, on the device that they are on.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use ndarray::ArrayView2;

use super::reference;
use crate::gpu::{Buffer, Kernel, Launch, Plan, word};

/// What is measured between two vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// `sqrt(Σ (a - b)²)`.
    Euclidean,
    /// `1 - a·b / (|a| |b|)`, from 0 to 2. NaN where a vector is zero.
    Cosine,
}

/// The distance of every row of `a` `(n, dimension)` to every row of `b` `(m, dimension)`: `(n, m)`, all
/// f32. Within 1e-5 of the larger of 1 and the distance, for vectors of length about 1.
///
/// # Errors
/// Tensors of different dimensions, types or devices.
pub fn pairwise(a: &Tensor, b: &Tensor, metric: Metric) -> Result<Tensor> {
    a.contiguous()?.apply_op2_no_bwd(&b.contiguous()?, &Pairwise(metric))
}

/// What a GPU does for inputs `(n, dimension)` and `(m, dimension)`, and the shape `(n, m)`.
///
/// # Errors
/// Inputs of different dimensions.
pub fn plan(metric: Metric, a: &Shape, b: &Shape) -> Result<(Plan, Shape)> {
    const TILE: usize = 64;
    const THREADS: usize = (TILE / 4) * (TILE / 4);
    let ((n, dimension), (m, other)) = (a.dims2()?, b.dims2()?);
    if dimension != other {
        bail!("cdist: vectors of dimensions {dimension} and {other}");
    }
    let launch = Launch {
        kernel: Kernel {
            name: "cdist",
            text: include_str!("cdist.kernel"),
            constants: vec![
                ("COSINE", usize::from(metric == Metric::Cosine)),
                ("TILE", TILE),
                ("DEPTH", 16),
                ("THREADS", THREADS),
            ],
        },
        groups: [m.div_ceil(TILE), n.div_ceil(TILE), 1],
        threads: THREADS,
        reads: vec![Buffer::Input(0), Buffer::Input(1)],
        writes: vec![Buffer::Output],
        params: vec![word(n)?, word(m)?, word(dimension)?],
    };
    let plan = Plan { operation: "cdist", output: n * m, launches: vec![launch], ..Plan::default() };
    Ok((plan, (n, m).into()))
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
