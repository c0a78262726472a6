//! Attention of queries to keys and values, `y = softmax(q kᵀ) v` in each head, on the CPU.
//!
//! The scores of a few queries at a time stay in the cache, where candle writes those of all queries to memory.

mod cpu;
pub mod reference;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

/// Maps `queries` `(n, width)` to `(n, width)` by what each attends to in `keys` and `values` `(positions, width)`.
/// A head has `width / heads` neighboring columns of each. The scores are not scaled.
///
/// # Errors
/// A tensor is not f32 on the CPU, or the shapes do not fit.
pub fn attention(queries: &Tensor, keys: &Tensor, values: &Tensor, heads: usize) -> Result<Tensor> {
    let (queries, keys, values) = (queries.contiguous()?, keys.contiguous()?, values.contiguous()?);
    queries.apply_op3_no_bwd(&keys, &values, &Attention { heads })
}

struct Attention {
    heads: usize,
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        queries: &CpuStorage,
        queries_layout: &Layout,
        keys: &CpuStorage,
        keys_layout: &Layout,
        values: &CpuStorage,
        values_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = queries_layout.shape();
        let (_, width) = shape.dims2()?;
        let (positions, keys_width) = keys_layout.shape().dims2()?;
        if keys_layout.shape() != values_layout.shape()
            || keys_width != width
            || positions == 0
            || self.heads == 0
            || !width.is_multiple_of(self.heads)
        {
            let (keys, values) = (keys_layout.shape(), values_layout.shape());
            bail!("attention: {} heads, queries {shape:?}, keys {keys:?} and values {values:?}", self.heads);
        }
        let attended = cpu::attention(&cpu::Inputs {
            queries: crate::contiguous_f32(queries, queries_layout, "attention")?,
            keys: crate::contiguous_f32(keys, keys_layout, "attention")?,
            values: crate::contiguous_f32(values, values_layout, "attention")?,
            width,
            heads: self.heads,
        });
        Ok((CpuStorage::F32(attended), shape.clone()))
    }
}
