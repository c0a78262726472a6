//! Attention of queries to keys and values, `y = softmax(q kᵀ) v` in each head, on the CPU.
//!
//! The scores of a few queries at a time stay in the cache, where candle writes those of all queries to memory. Keys and
//! values are arranged once for all queries, so that the next token of a text only reads them.

mod cpu;
pub mod reference;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, bail};

use self::cpu::Head;

/// The keys and values of an attention layer, in the order in which queries read them.
#[derive(Clone, Debug)]
pub struct Memory {
    heads: Vec<Head>,
    positions: usize,
    width: usize,
}

impl Memory {
    /// Takes `keys` and `values` `(positions, width)`. A head has `width / heads` neighboring columns of both.
    ///
    /// # Errors
    /// A tensor is not f32 on the CPU, or the shapes do not fit.
    pub fn new(keys: &Tensor, values: &Tensor, heads: usize) -> Result<Self> {
        let (positions, width) = keys.dims2()?;
        let fits = keys.shape() == values.shape() && positions * width > 0;
        if !fits || heads == 0 || !width.is_multiple_of(heads) {
            bail!("attention: {heads} heads, keys {:?} and values {:?}", keys.shape(), values.shape());
        }
        let (keys, values) = (keys.contiguous()?, values.contiguous()?);
        let [(keys, keys_layout), (values, values_layout)] = [&keys, &values].map(Tensor::storage_and_layout);
        let (Storage::Cpu(keys), Storage::Cpu(values)) = (&*keys, &*values) else {
            bail!("attention: keys and values must be on the CPU");
        };
        let keys = crate::contiguous_f32(keys, keys_layout, "attention")?;
        let values = crate::contiguous_f32(values, values_layout, "attention")?;
        Ok(Self { heads: cpu::heads(keys, values, width, heads), positions, width })
    }

    /// Maps `queries` `(n, width)` to `(n, width)` by what each attends to. The scores are not scaled.
    ///
    /// # Errors
    /// The tensor is not f32 on the CPU, or has another width.
    pub fn attend(&self, queries: &Tensor) -> Result<Tensor> {
        queries.contiguous()?.apply_op1_no_bwd(self)
    }

    /// The scores `(n, positions)` of `queries` `(n, width)` in a head, before the softmax.
    ///
    /// # Errors
    /// As [`Self::attend`], or if there is no such head.
    pub fn scores(&self, queries: &Tensor, head: usize) -> Result<Tensor> {
        queries.contiguous()?.apply_op1_no_bwd(&Scores { memory: self, head })
    }

    fn queries<'a>(&self, storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
        let (_, width) = layout.shape().dims2()?;
        if width != self.width {
            bail!("attention: queries of {width} values instead of {}", self.width);
        }
        crate::contiguous_f32(storage, layout, "attention")
    }
}

impl CustomOp1 for Memory {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, queries: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let queries = self.queries(queries, layout)?;
        Ok((CpuStorage::F32(cpu::attend(queries, &self.heads, self.width)), layout.shape().clone()))
    }
}

struct Scores<'a> {
    memory: &'a Memory,
    head: usize,
}

impl CustomOp1 for Scores<'_> {
    fn name(&self) -> &'static str {
        "attention scores"
    }

    fn cpu_fwd(&self, queries: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let &Self { memory: memory @ Memory { heads, positions, width }, head } = self;
        let queries = memory.queries(queries, layout)?;
        if head >= heads.len() {
            bail!("attention: head {head} of {}", heads.len());
        }
        let scores = cpu::scores(queries, &heads[head], *width, head);
        Ok((CpuStorage::F32(scores), (queries.len() / width, *positions).into()))
    }
}
