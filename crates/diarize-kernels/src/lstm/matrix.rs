//! The GPU plan of layers whose state fits the tiles of matrix units.

use candle_core::Result;

use super::Dims;
use crate::gpu::{Buffer, Kernel, Launch, Plan, word};

/// Sequences per threadgroup.
const SEQUENCES: usize = 8;
/// Units of the state per right tile.
const DEPTH: usize = 16;
/// Units per SIMD group, for all four gates.
const UNITS: usize = 8;
/// Right tiles of units whose weights stay in registers.
const KEPT: usize = 4;
/// Largest hidden state: its SIMD groups have 128 registers per thread on NVIDIA GPUs, which the kept weights need.
const MAX_HIDDEN: usize = 128;
const PACK_THREADS: usize = 256;

/// The plan on matrix units, as [`Dims::plan`]; `None` if the state does not fit them.
pub fn plan(dims: &Dims) -> Result<Option<Plan>> {
    let &Dims { batch, steps, directions, hidden } = dims;
    if hidden == 0 || !hidden.is_multiple_of(DEPTH) || hidden > MAX_HIDDEN {
        return Ok(None);
    }
    let pack = Launch {
        kernel: Kernel {
            name: "lstm_pack",
            text: include_str!("pack.kernel"),
            threads: PACK_THREADS,
            constants: vec![("HIDDEN", hidden)],
        },
        groups: [directions, 1, 1],
        reads: vec![Buffer::Input(1)],
        writes: vec![Buffer::Scratch(0), Buffer::Scratch(1)],
        params: vec![0],
    };
    let run = Launch {
        kernel: Kernel {
            name: "lstm_matrix",
            text: include_str!("matrix.kernel"),
            threads: 32 * hidden / UNITS,
            constants: vec![("HIDDEN", hidden), ("KEPT", KEPT.min(hidden / DEPTH))],
        },
        groups: [batch.div_ceil(SEQUENCES), directions, 1],
        reads: vec![Buffer::Input(0), Buffer::Scratch(0), Buffer::Scratch(1)],
        writes: vec![Buffer::Output],
        params: vec![word(batch)?, word(steps)?, word(directions)?],
    };
    Ok(Some(Plan {
        operation: "lstm",
        scratch: vec![directions * 4 * hidden * hidden, directions],
        output: dims.output().elem_count(),
        launches: vec![pack, run],
        preparing: 1,
        ..Plan::default()
    }))
}
