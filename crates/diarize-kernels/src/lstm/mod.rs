//! The recurrent part of one LSTM layer, one or two directions, over all time steps.
//!
//! With `z[t] = input[t] + W_hh h[t-1]` split into the gates `i, f, g, o` (PyTorch's order):
//! `c[t] = sigmoid(f) c[t-1] + sigmoid(i) tanh(g)` and `h[t] = sigmoid(o) tanh(c[t])`, both zero
//! before the first step. `input` is the projection `W_ih x + b_ih + b_hh`, made for all steps by
//! one matrix product before. The second direction runs from the last step to the first.
//!
//! Source: `torch.nn.LSTM`; Hochreiter and Schmidhuber, Long short-term memory, 1997.

mod cpu;
pub mod reference;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};

/// Runs one layer.
///
/// - `input`: `(batch, steps, directions * 4 * hidden)` f32, gates `i, f, g, o` of each direction;
/// - `recurrent`: `(directions, 4 * hidden, hidden)` f32, `W_hh` of each direction;
/// - returns `(batch, steps, directions * hidden)` f32.
pub fn lstm(input: &Tensor, recurrent: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op2_no_bwd(&recurrent.contiguous()?, &Lstm)
}

/// Sizes of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dims {
    /// Sequences.
    pub batch: usize,
    /// Time steps.
    pub steps: usize,
    /// 1, or 2 for a bidirectional layer.
    pub directions: usize,
    /// Values of the state.
    pub hidden: usize,
}

struct Lstm;

impl CustomOp2 for Lstm {
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
        let (batch, steps, width) = input_layout.shape().dims3()?;
        let (directions, gates, hidden) = recurrent_layout.shape().dims3()?;
        if gates != 4 * hidden || width != directions * gates || !(1..=2).contains(&directions) {
            bail!(
                "lstm: input {:?} does not fit weights {:?}",
                input_layout.shape(),
                recurrent_layout.shape()
            );
        }
        let input = crate::contiguous_f32(input, input_layout, "lstm")?;
        let recurrent = crate::contiguous_f32(recurrent, recurrent_layout, "lstm")?;
        let output = cpu::lstm(Dims { batch, steps, directions, hidden }, input, recurrent);
        Ok((CpuStorage::F32(output), (batch, steps, directions * hidden).into()))
    }
}
