//! The fast path, in vectors of the processor's native width. Several sequences advance together, so that each
//! weight fetched from the cache is used for all of them. Groups of sequences run in parallel.
//!
//! The result of a sequence does not depend on the rest of the batch or the number of threads.

use std::ops::Range;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Dims;
use crate::{
    conv2d::cpu as conv2d,
    simd::{self, accumulate, exp},
};

/// Vectors of gates that are accumulated in one pass over the state.
const VECTORS: usize = 2;

/// Number of sequences that advance together: the registers hold [`VECTORS`] sums for each of them, and leave
/// room for the factors.
const fn rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { MANY_ROWS } else { FEW_ROWS }
}
const MANY_ROWS: usize = 8;
const FEW_ROWS: usize = 4;

/// Number of steps projected at a time, few enough that their gates stay in the cache until the recurrence reads
/// them. With 4 or 8 sequences, the positions fill whole tiles of the convolution.
const STEPS: usize = 18;

/// The input of a layer.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    /// Already projected: `(batch, steps, directions * 4 * hidden)`.
    Gates(&'a [f32]),
    /// Not yet projected: `(batch, steps, inputs)`, with the projection of each direction.
    Raw(&'a [f32], &'a [conv2d::Packed]),
}

/// Returns the output `(batch, steps, directions * hidden)`. `recurrent` has the weights of each direction.
pub(super) fn lstm(dims: Dims, input: Input<'_>, recurrent: &[Packed]) -> Vec<f32> {
    let Dims { batch, steps, directions, hidden } = dims;
    // SAFETY: every direction of every sequence writes all of its steps.
    let mut output = unsafe { crate::uninitialized(batch * steps * directions * hidden) };
    if output.is_empty() {
        return output;
    }
    let arch = simd::arch();
    let row = steps * directions * hidden;
    let rows = arch.dispatch(Rows);
    output.par_chunks_mut(rows * row).enumerate().for_each(|(group, output)| {
        let dims = Dims { batch: output.len() / row, ..dims };
        let input = input.of_sequences(group * rows..group * rows + dims.batch, batch);
        for (direction, weights) in recurrent.iter().enumerate() {
            let state = State { h: vec![0.0; rows * hidden], c: vec![0.0; rows * hidden] };
            let (mut state, mut buffer) = (state, Buffer::default());
            for steps in input.blocks(steps, direction) {
                let gates = input.gates(dims, direction, steps.clone(), &mut buffer);
                let state = &mut state;
                arch.dispatch(Sequences { dims, direction, weights, steps, gates, state, output });
            }
        }
    });
    output
}

impl<'a> Input<'a> {
    /// The input of some of `batch` sequences.
    fn of_sequences(self, sequences: Range<usize>, batch: usize) -> Self {
        let some = |values: &'a [f32]| {
            let one = values.len() / batch;
            &values[sequences.start * one..sequences.end * one]
        };
        match self {
            Self::Gates(values) => Self::Gates(some(values)),
            Self::Raw(values, projections) => Self::Raw(some(values), projections),
        }
    }

    /// The blocks of steps whose gates are computed together, in the order in which a direction needs them.
    fn blocks(self, steps: usize, direction: usize) -> Vec<Range<usize>> {
        let size = match self {
            Self::Gates(_) => steps,
            Self::Raw(..) => STEPS,
        };
        let mut blocks: Vec<_> =
            (0..steps).step_by(size).map(|start| start..steps.min(start + size)).collect();
        if direction == 1 {
            blocks.reverse();
        }
        blocks
    }

    /// The gates of one direction for a block of steps of all sequences.
    fn gates<'g>(self, dims: Dims, direction: usize, steps: Range<usize>, buffer: &'g mut Buffer) -> Gates<'g>
    where
        'a: 'g,
    {
        let gates = 4 * dims.hidden;
        let (x, projection) = match self {
            Self::Gates(values) => {
                let step = dims.directions * gates;
                return Gates { values: &values[direction * gates..], row: dims.steps * step, step };
            }
            Self::Raw(x, projections) => (x, &projections[direction]),
        };
        let inputs = x.len() / (dims.batch * dims.steps);
        buffer.x.clear();
        for sequence in x.chunks_exact(dims.steps * inputs) {
            buffer.x.extend_from_slice(&sequence[steps.start * inputs..steps.end * inputs]);
        }
        buffer.gates.resize(dims.batch * steps.len() * gates, 0.0);
        conv2d::linear(projection, &buffer.x, &mut buffer.gates);
        Gates { values: &buffer.gates, row: steps.len() * gates, step: gates }
    }
}

/// Buffers for one block of steps.
#[derive(Default)]
struct Buffer {
    /// `(sequence, step, input)`.
    x: Vec<f32>,
    /// `(sequence, step, gate)`.
    gates: Vec<f32>,
}

/// The projected inputs of the gates for a block of steps, without the contribution of the state.
struct Gates<'a> {
    values: &'a [f32],
    /// Distance between the values of neighboring sequences.
    row: usize,
    /// Distance between the values of neighboring steps.
    step: usize,
}

/// The state of some sequences after a step, `(sequence, hidden)` each.
struct State {
    h: Vec<f32>,
    c: Vec<f32>,
}

struct Rows;

impl WithSimd for Rows {
    type Output = usize;

    fn with_simd<S: Simd>(self, _: S) -> usize {
        rows::<S>()
    }
}

/// `W_hh` in the order in which [`project`] reads it, `(tile, state, gate of the tile)`. The gates are padded
/// with zeros to whole tiles.
#[derive(Debug)]
pub(super) struct Packed {
    weights: Vec<f32>,
    tile: usize,
}

/// Packs `W_hh` `(directions, 4 * hidden, hidden)`.
pub(super) fn pack(hidden: usize, recurrent: &[f32]) -> Vec<Packed> {
    let directions = recurrent.chunks_exact((4 * hidden * hidden).max(1));
    directions.map(|weights| simd::arch().dispatch(Pack { weights, hidden })).collect()
}

struct Pack<'a> {
    weights: &'a [f32],
    hidden: usize,
}

impl WithSimd for Pack<'_> {
    type Output = Packed;

    fn with_simd<S: Simd>(self, _: S) -> Packed {
        let tile = VECTORS * S::F32_LANES;
        let gates = 4 * self.hidden;
        let mut weights = Vec::with_capacity(gates.next_multiple_of(tile) * self.hidden);
        for first in (0..gates).step_by(tile) {
            for state in 0..self.hidden {
                weights.extend(
                    (first..first + tile).map(|gate| {
                        if gate < gates { self.weights[gate * self.hidden + state] } else { 0.0 }
                    }),
                );
            }
        }
        Packed { weights, tile }
    }
}

/// One direction of up to [`rows`] sequences, for a block of steps.
struct Sequences<'a> {
    dims: Dims,
    direction: usize,
    weights: &'a Packed,
    steps: Range<usize>,
    gates: Gates<'a>,
    state: &'a mut State,
    output: &'a mut [f32],
}

impl WithSimd for Sequences<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match rows::<S>() {
            MANY_ROWS => self.run::<S, MANY_ROWS>(simd),
            _ => self.run::<S, FEW_ROWS>(simd),
        }
    }
}

impl Sequences<'_> {
    #[inline(always)]
    fn run<S: Simd, const ROWS: usize>(self, simd: S) {
        let Dims { batch, steps, directions, hidden } = self.dims;
        let width = (4 * hidden).next_multiple_of(self.weights.tile);
        let mut gates = vec![0f32; ROWS * width];
        let State { h, c } = self.state;
        for step in 0..self.steps.len() {
            let step = if self.direction == 0 { step } else { self.steps.len() - 1 - step };
            // Missing rows repeat the last one.
            let mut inputs: [&[f32]; ROWS] = [&[]; ROWS];
            for (row, input) in inputs.iter_mut().enumerate() {
                let at = row.min(batch - 1) * self.gates.row + step * self.gates.step;
                *input = &self.gates.values[at..][..4 * hidden];
            }
            project(simd, self.weights, inputs, h, &mut gates);
            let t = self.steps.start + step;
            for row in 0..batch {
                let gates = &gates[row * width..][..4 * hidden];
                let h = &mut h[row * hidden..][..hidden];
                activate(gates, h, &mut c[row * hidden..][..hidden]);
                let at = (row * steps + t) * directions + self.direction;
                self.output[at * hidden..][..hidden].copy_from_slice(h);
            }
        }
    }
}

/// `gates[row] = inputs[row] + W_hh h[row]` for every row.
#[inline(always)]
fn project<S: Simd, const ROWS: usize>(
    simd: S,
    packed: &Packed,
    inputs: [&[f32]; ROWS],
    h: &[f32],
    gates: &mut [f32],
) {
    let (hidden, width) = (h.len() / ROWS, gates.len() / ROWS);
    let mut states: [&[f32]; ROWS] = [&[]; ROWS];
    for (row, state) in states.iter_mut().enumerate() {
        *state = &h[row * hidden..][..hidden];
    }
    for (tile, weights) in packed.weights.chunks_exact(packed.tile * hidden).enumerate() {
        let first = tile * packed.tile;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        for (sums, input) in sums.iter_mut().zip(inputs) {
            for (vector, sum) in sums.iter_mut().enumerate() {
                let rest = input.get(first + vector * S::F32_LANES..).unwrap_or_default();
                *sum = simd.partial_load_f32s(&rest[..rest.len().min(S::F32_LANES)]);
            }
        }
        accumulate(simd, states, S::as_simd_f32s(weights).0, &mut sums);
        for (row, sums) in sums.iter().enumerate() {
            S::as_mut_simd_f32s(&mut gates[row * width + first..][..packed.tile]).0.copy_from_slice(sums);
        }
    }
}

/// Updates the state `h` and `c` of one sequence from its gates.
#[inline(always)]
fn activate(gates: &[f32], h: &mut [f32], c: &mut [f32]) {
    let hidden = h.len();
    let (i, rest) = gates.split_at(hidden);
    let (f, rest) = rest.split_at(hidden);
    let (g, o) = rest.split_at(hidden);
    for unit in 0..hidden {
        c[unit] = sigmoid(f[unit]) * c[unit] + sigmoid(i[unit]) * tanh(g[unit]);
        h[unit] = sigmoid(o[unit]) * tanh(c[unit]);
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x) + 1.0)
}
