//! The outputs of a classifier as scores: log-probabilities of classes of which exactly one is true,
//! `y[c] = x[c] - log sum exp x`, or probabilities of independent classes, `y[c] = 1 / (1 + exp(-x[c]))`.

pub mod reference;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

use crate::gpu::{Buffer, Kernel, Launch, Plan, word};

/// What the scores are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scores {
    /// Log-probabilities of classes of which exactly one is true.
    LogSoftmax,
    /// Probabilities of independent classes.
    Sigmoid,
}

impl Scores {
    /// Maps outputs of a classifier `(.., classes)` to scores of the same shape, f32.
    ///
    /// # Errors
    /// The tensor is not f32, or the device fails.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1_no_bwd(self)
    }

    /// The GPU plan for an input `(.., classes)`.
    ///
    /// # Errors
    /// A size is too large for a GPU.
    pub fn plan(&self, input: &Shape) -> Result<Plan> {
        const THREADS: usize = 128;
        let (rows, classes) = rows(input);
        let launch = Launch {
            kernel: Kernel {
                name: "scores",
                text: include_str!("scores.kernel"),
                threads: THREADS,
                constants: vec![("EXCLUSIVE", usize::from(*self == Self::LogSoftmax))],
            },
            groups: [rows.div_ceil(THREADS), 1, 1],
            reads: vec![Buffer::Input(0)],
            writes: vec![Buffer::Output],
            params: vec![word(rows)?, word(classes)?],
        };
        let output = input.elem_count();
        Ok(Plan { operation: "scores", output, launches: vec![launch], ..Plan::default() })
    }

    /// Replaces the outputs of a row with its scores.
    fn row(self, x: &mut [f32]) {
        match self {
            Self::LogSoftmax => {
                let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let rest = x.iter().map(|x| (x - most).exp()).sum::<f32>().ln();
                x.iter_mut().for_each(|x| *x = *x - most - rest);
            }
            Self::Sigmoid => x.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
        }
    }
}

/// Number of rows and of classes.
fn rows(input: &Shape) -> (usize, usize) {
    let classes = input.dims().last().copied().unwrap_or(1);
    (input.elem_count() / classes.max(1), classes)
}

impl CustomOp1 for Scores {
    fn name(&self) -> &'static str {
        "scores"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut scores = crate::contiguous_f32(storage, layout, "scores")?.to_vec();
        let (_, classes) = rows(layout.shape());
        scores.chunks_exact_mut(classes.max(1)).for_each(|row| self.row(row));
        Ok((CpuStorage::F32(scores), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let plan = self.plan(layout.shape())?;
        Ok((crate::gpu::cuda::run(&plan, &[(storage, layout)])?, layout.shape().clone()))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(&self, storage: &MetalStorage, layout: &Layout) -> Result<(MetalStorage, Shape)> {
        let plan = self.plan(layout.shape())?;
        Ok((crate::gpu::metal::run(&plan, &[(storage, layout)])?, layout.shape().clone()))
    }
}
