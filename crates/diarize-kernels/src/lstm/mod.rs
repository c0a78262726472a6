//! One LSTM layer over all time steps, in one or two directions.
//!
//! With `z[t] = input[t] + W_hh h[t-1]` split into the gates `i, f, g, o` (PyTorch's order):
//! `c[t] = sigmoid(f) c[t-1] + sigmoid(i) tanh(g)` and `h[t] = sigmoid(o) tanh(c[t])`, both zero
//! before the first step. `input` is the projection `W_ih x + b_ih + b_hh`. The second direction runs from the
//! last step to the first. [`Layer`] includes the projection, [`lstm`] does not.
//!
//! Source: `torch.nn.LSTM`; Hochreiter and Schmidhuber, Long short-term memory, 1997.

mod cpu;
mod layer;
mod matrix;
pub mod reference;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
#[cfg(feature = "metal")]
use candle_core::MetalStorage;
use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

pub use self::layer::Layer;
use crate::gpu::{Buffer, Kept, Kernel, Launch, MAX_THREADS, Plan, Precision, word};

/// Runs the recurrence of one layer.
///
/// - `input`: `(batch, steps, directions * 4 * hidden)` f32, gates `i, f, g, o` of each direction;
/// - `recurrent`: `(directions, 4 * hidden, hidden)` f32, `W_hh` of each direction;
/// - returns `(batch, steps, directions * hidden)` f32.
///
/// # Errors
/// The shapes do not fit each other, a tensor is not f32, a GPU lacks threadgroup memory for the state, or the
/// device fails.
pub fn lstm(input: &Tensor, recurrent: &Tensor) -> Result<Tensor> {
    lstm_keeping(input, recurrent, &Kept::default(), Precision::F32)
}

/// Like [`lstm`], for weights whose prepared form is `kept` on a GPU, with this precision of products on its matrix units.
fn lstm_keeping(input: &Tensor, recurrent: &Tensor, kept: &Kept, precision: Precision) -> Result<Tensor> {
    crate::gpu::aligned(input)?.apply_op2_no_bwd(&recurrent.contiguous()?, &Lstm { kept, precision })
}

/// The sizes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Number of sequences.
    pub batch: usize,
    /// Number of time steps.
    pub steps: usize,
    /// 1, or 2 for a bidirectional layer.
    pub directions: usize,
    /// Size of the hidden state.
    pub hidden: usize,
}

impl Dims {
    /// Reads the sizes from an input `(batch, steps, directions * 4 * hidden)` and weights
    /// `(directions, 4 * hidden, hidden)`.
    fn of(input: &Shape, recurrent: &Shape) -> Result<Self> {
        let (batch, steps, width) = input.dims3()?;
        let (directions, gates, hidden) = recurrent.dims3()?;
        if gates != 4 * hidden || width != directions * gates || !(1..=2).contains(&directions) {
            bail!("lstm: an input of shape {input:?} does not fit weights of shape {recurrent:?}");
        }
        Ok(Self { batch, steps, directions, hidden })
    }

    fn output(&self) -> Shape {
        (self.batch, self.steps, self.directions * self.hidden).into()
    }

    /// The GPU plan: one launch packs the weights, another runs all steps.
    ///
    /// # Errors
    /// The state does not fit into threadgroup memory.
    pub fn plan(&self) -> Result<Plan> {
        const GROUP_WORDS: usize = 8192;
        const PACK_THREADS: usize = 256;
        if let Some(plan) = matrix::plan(self)? {
            return Ok(plan);
        }
        let &Self { batch, steps, directions, hidden } = self;
        let (gates, columns) = (4 * hidden, hidden.next_multiple_of(4));
        // More sequences in a threadgroup share each read of the weights; fewer allow more threadgroups in
        // parallel.
        let wanted = match batch * directions {
            512.. => 8,
            128.. => 4,
            16.. => 2,
            _ => 1,
        };
        let sequences = wanted.min(GROUP_WORDS / (gates + columns).max(1));
        if sequences == 0 {
            bail!("lstm: a hidden state of {hidden} values does not fit into a GPU's threadgroup memory");
        }
        let threads = gates.next_multiple_of(32).min(MAX_THREADS);
        let words = directions * columns * gates;
        let constants = |mut more: Vec<(&'static str, usize)>| {
            more.extend([("HIDDEN", hidden), ("GATES", gates), ("COLUMNS", columns)]);
            more
        };
        let kernel =
            |name, threads, constants| Kernel { name, text: include_str!("lstm.kernel"), threads, constants };
        let sizes =
            |threads| vec![("SEQUENCES", sequences), ("UNITS_EACH", (sequences * hidden).div_ceil(threads))];
        let pack = Launch {
            kernel: kernel("pack", PACK_THREADS, constants(sizes(PACK_THREADS))),
            groups: [words.div_ceil(PACK_THREADS), 1, 1],
            reads: vec![Buffer::Input(1)],
            writes: vec![Buffer::Scratch(0)],
            params: vec![word(words)?],
        };
        let run = Launch {
            kernel: kernel("lstm", threads, constants(sizes(threads))),
            groups: [batch.div_ceil(sequences), directions, usize::from(hidden > 0)],
            reads: vec![Buffer::Input(0), Buffer::Scratch(0)],
            writes: vec![Buffer::Output],
            params: vec![word(batch)?, word(steps)?, word(directions)?],
        };
        Ok(Plan {
            operation: "lstm",
            scratch: vec![words],
            output: self.output().elem_count(),
            launches: vec![pack, run],
            preparing: 1,
            ..Plan::default()
        })
    }
}

#[cfg_attr(not(any(feature = "cuda", feature = "metal")), expect(dead_code, reason = "no GPU in this build"))]
struct Lstm<'a> {
    kept: &'a Kept,
    precision: Precision,
}

#[cfg(any(feature = "cuda", feature = "metal"))]
impl Lstm<'_> {
    fn plan(&self, dims: Dims) -> Result<Plan> {
        Ok(dims.plan()?.with_precision(self.precision))
    }
}

impl CustomOp2 for Lstm<'_> {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        recurrent: &CpuStorage,
        recurrent_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dims = Dims::of(input_layout.shape(), recurrent_layout.shape())?;
        let input = crate::contiguous_f32(input, input_layout, "lstm")?;
        let recurrent = crate::contiguous_f32(recurrent, recurrent_layout, "lstm")?;
        let output = cpu::lstm(dims, cpu::Input::Gates(input), &cpu::pack(dims.hidden, recurrent));
        Ok((CpuStorage::F32(output), dims.output()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &CudaStorage,
        input_layout: &Layout,
        recurrent: &CudaStorage,
        recurrent_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let dims = Dims::of(input_layout.shape(), recurrent_layout.shape())?;
        let inputs = [(input, input_layout), (recurrent, recurrent_layout)];
        Ok((crate::gpu::cuda::run_keeping(&self.plan(dims)?, &inputs, self.kept)?, dims.output()))
    }

    #[cfg(feature = "metal")]
    fn metal_fwd(
        &self,
        input: &MetalStorage,
        input_layout: &Layout,
        recurrent: &MetalStorage,
        recurrent_layout: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        let dims = Dims::of(input_layout.shape(), recurrent_layout.shape())?;
        let inputs = [(input, input_layout), (recurrent, recurrent_layout)];
        Ok((crate::gpu::metal::run_keeping(&self.plan(dims)?, &inputs, self.kept)?, dims.output()))
    }
}
