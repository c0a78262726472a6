//! The Gaussian error linear unit, `y = x / 2 (1 + erf(x / sqrt 2))`, on the CPU.

mod cpu;
pub mod reference;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// Applies it to each value of a tensor. Errors are below 1e-6 of the largest value.
///
/// # Errors
/// The tensor is not f32 on the CPU.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    x.contiguous()?.apply_op1_no_bwd(&Gelu)
}

struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = crate::contiguous_f32(storage, layout, "gelu")?;
        Ok((CpuStorage::F32(cpu::gelu(x)), layout.shape().clone()))
    }
}
