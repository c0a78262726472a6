//! The fast path, in vectors of the processor's native width. Several sequences advance together, so that each
//! weight fetched from the cache is used for all of them. Groups of sequences run in parallel.
//!
//! The result of a sequence does not depend on the rest of the batch or the number of threads.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::Dims;
use crate::simd::{self, accumulate};

/// Vectors of gates that are accumulated in one pass over the state.
const VECTORS: usize = 2;

/// Number of sequences that advance together: the registers hold [`VECTORS`] sums for each of them, and leave
/// room for the factors.
const fn rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { MANY_ROWS } else { FEW_ROWS }
}
const MANY_ROWS: usize = 8;
const FEW_ROWS: usize = 4;

/// Returns the output `(batch, steps, directions * hidden)`. The layout of the arguments is that of
/// [`super::lstm`].
pub(super) fn lstm(dims: Dims, input: &[f32], recurrent: &[f32]) -> Vec<f32> {
    let Dims { batch, steps, directions, hidden } = dims;
    // SAFETY: every direction of every sequence writes all of its steps.
    let mut output = unsafe { crate::uninitialized(batch * steps * directions * hidden) };
    if output.is_empty() {
        return output;
    }
    let arch = simd::arch();
    let packed: Vec<Packed> = recurrent
        .chunks_exact(4 * hidden * hidden)
        .map(|weights| arch.dispatch(Pack { weights, hidden }))
        .collect();
    let row = steps * directions * hidden;
    let rows = arch.dispatch(Rows);
    output.par_chunks_mut(rows * row).zip(input.par_chunks(4 * rows * row)).for_each(|(output, input)| {
        for (direction, weights) in packed.iter().enumerate() {
            let dims = Dims { batch: output.len() / row, ..dims };
            arch.dispatch(Sequences { dims, direction, weights, input, output });
        }
    });
    output
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
struct Packed {
    weights: Vec<f32>,
    tile: usize,
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

/// One direction of up to [`rows`] sequences over all steps.
struct Sequences<'a> {
    dims: Dims,
    direction: usize,
    weights: &'a Packed,
    input: &'a [f32],
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
        let (mut h, mut c) = (vec![0f32; ROWS * hidden], vec![0f32; ROWS * hidden]);
        for step in 0..steps {
            let t = if self.direction == 0 { step } else { steps - 1 - step };
            let at = |row: usize| (row * steps + t) * directions + self.direction;
            // Missing rows repeat the last one.
            let inputs: [&[f32]; ROWS] =
                std::array::from_fn(|row| &self.input[at(row.min(batch - 1)) * 4 * hidden..][..4 * hidden]);
            project(simd, self.weights, inputs, &h, &mut gates);
            for row in 0..batch {
                let gates = &gates[row * width..][..4 * hidden];
                let h = &mut h[row * hidden..][..hidden];
                activate(gates, h, &mut c[row * hidden..][..hidden]);
                self.output[at(row) * hidden..][..hidden].copy_from_slice(h);
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
    let h: [&[f32]; ROWS] = std::array::from_fn(|row| &h[row * hidden..][..hidden]);
    for (tile, weights) in packed.weights.chunks_exact(packed.tile * hidden).enumerate() {
        let first = tile * packed.tile;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        for (sums, input) in sums.iter_mut().zip(inputs) {
            for (vector, sum) in sums.iter_mut().enumerate() {
                let rest = input.get(first + vector * S::F32_LANES..).unwrap_or_default();
                *sum = simd.partial_load_f32s(&rest[..rest.len().min(S::F32_LANES)]);
            }
        }
        accumulate(simd, h, S::as_simd_f32s(weights).0, &mut sums);
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

/// `e^x` within 2 units in the last place. It has no branches, so that the compiler can vectorize it.
/// Coefficients: `expf` of the Cephes library, Stephen Moshier, 1989.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding this constant puts the nearest integer into the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5e-1] {
        p = p * r + coefficient;
    }
    let two_to_n = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    (p * r * r + r + 1.0) * two_to_n
}
