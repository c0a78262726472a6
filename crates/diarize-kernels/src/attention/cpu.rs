//! A few queries of one head at a time. Heads and blocks of queries run in parallel.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::simd::{self, accumulate, exp};

/// Queries whose sums stay in registers.
const QUERIES: usize = 6;
/// Vectors in a tile. With [`QUERIES`] queries, the tile fits in 16 registers.
const VECTORS: usize = 2;
/// Queries that a thread takes at once.
const BLOCK: usize = 16 * QUERIES;

pub(super) struct Inputs<'a> {
    /// `(n, width)`.
    pub queries: &'a [f32],
    /// `(positions, width)`.
    pub keys: &'a [f32],
    /// `(positions, width)`.
    pub values: &'a [f32],
    pub width: usize,
    pub heads: usize,
}

/// Returns the output `(n, width)`.
pub(super) fn attention(inputs: &Inputs<'_>) -> Vec<f32> {
    let &Inputs { queries, width, heads, .. } = inputs;
    let (count, columns) = (queries.len() / width, width / heads);
    if count == 0 {
        return Vec::new();
    }
    let arch = simd::arch();
    let mut by_head = vec![0f32; queries.len()]; // (head, n, column of the head)
    by_head.par_chunks_exact_mut(count * columns).enumerate().for_each(|(index, output)| {
        let head = arch.dispatch(Pack { inputs, first: index * columns });
        output.par_chunks_mut(BLOCK * columns).enumerate().for_each(|(block, output)| {
            let queries = &queries[block * BLOCK * width..];
            arch.dispatch(Block { queries, width, first: index * columns, head: &head, output });
        });
    });
    let mut output = vec![0f32; queries.len()];
    output.par_chunks_exact_mut(width).enumerate().for_each(|(query, output)| {
        for (index, output) in output.chunks_exact_mut(columns).enumerate() {
            output.copy_from_slice(&by_head[(index * count + query) * columns..][..columns]);
        }
    });
    output
}

/// The keys and values of a head in the order in which tiles read them.
struct Head {
    /// `(tile, column, position of the tile)`.
    keys: Vec<f32>,
    /// `(tile, position, column of the tile)`.
    values: Vec<f32>,
    positions: usize,
    columns: usize,
}

struct Pack<'a> {
    inputs: &'a Inputs<'a>,
    /// The first column of the head.
    first: usize,
}

impl WithSimd for Pack<'_> {
    type Output = Head;

    fn with_simd<S: Simd>(self, _: S) -> Head {
        let Inputs { keys, values, width, heads, .. } = *self.inputs;
        let (positions, columns) = (keys.len() / width, width / heads);
        let tile = VECTORS * S::F32_LANES;
        let key = |position: usize, column: usize| keys[position * width + self.first + column];
        let value = |column: usize, position: usize| values[position * width + self.first + column];
        Head {
            keys: in_tiles(tile, positions, columns, key),
            values: in_tiles(tile, columns, positions, value),
            positions,
            columns,
        }
    }
}

/// `value` of all `outputs` and `inputs` as `(tile, input, output of the tile)`. The last tile is padded with zeros.
fn in_tiles(tile: usize, outputs: usize, inputs: usize, value: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let mut tiles = Vec::with_capacity(outputs.next_multiple_of(tile) * inputs);
    for first in (0..outputs).step_by(tile) {
        for input in 0..inputs {
            let at = |output| if output < outputs { value(output, input) } else { 0.0 };
            tiles.extend((first..first + tile).map(at));
        }
    }
    tiles
}

/// A block of queries in one head.
struct Block<'a> {
    /// `(at least the queries of the block, width)`.
    queries: &'a [f32],
    width: usize,
    /// The first column of the head.
    first: usize,
    head: &'a Head,
    /// `(query, column of the head)`.
    output: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Head { positions, columns, .. } = *self.head;
        let tile = VECTORS * S::F32_LANES;
        let padded = positions.next_multiple_of(tile);
        let mut scores = vec![0f32; QUERIES * padded];
        for (group, output) in self.output.chunks_mut(QUERIES * columns).enumerate() {
            let count = output.len() / columns;
            // Missing queries repeat the last one.
            let row = |row: usize| (group * QUERIES + row.min(count - 1)) * self.width + self.first;
            let queries = std::array::from_fn(|index| &self.queries[row(index)..][..columns]);
            products(simd, queries, &self.head.keys, &mut scores);
            let mut totals = [0.0; QUERIES];
            for (scores, total) in scores.chunks_exact_mut(padded).zip(&mut totals) {
                *total = exponentials(simd, scores, positions);
            }
            let weights: [&[f32]; QUERIES] =
                std::array::from_fn(|index| &scores[index * padded..][..positions]);
            let mut mixed = vec![0f32; QUERIES * columns.next_multiple_of(tile)];
            products(simd, weights, &self.head.values, &mut mixed);
            let mixed = mixed.chunks_exact(columns.next_multiple_of(tile)).zip(totals);
            for (output, (mixed, total)) in output.chunks_exact_mut(columns).zip(mixed) {
                output.iter_mut().zip(mixed).for_each(|(output, mixed)| *output = mixed / total);
            }
        }
    }
}

/// The products of rows with all tiles, `(row, output)`.
#[inline(always)]
fn products<S: Simd>(simd: S, rows: [&[f32]; QUERIES], tiles: &[f32], output: &mut [f32]) {
    let tile = VECTORS * S::F32_LANES;
    let padded = output.len() / QUERIES;
    for (index, weights) in tiles.chunks_exact(tile * rows[0].len()).enumerate() {
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; QUERIES];
        accumulate(simd, rows, S::as_simd_f32s(weights).0, &mut sums);
        for (row, sums) in sums.iter().enumerate() {
            let output = &mut output[row * padded + index * tile..][..tile];
            S::as_mut_simd_f32s(output).0.copy_from_slice(sums);
        }
    }
}

/// Replaces scores by their exponentials, divided by that of the largest, and returns their sum. Only the first
/// `positions` count.
#[inline(always)]
fn exponentials<S: Simd>(simd: S, scores: &mut [f32], positions: usize) -> f32 {
    scores[positions..].fill(f32::NEG_INFINITY);
    let vectors = S::as_simd_f32s(scores).0;
    let largest = vectors.iter().fold(vectors[0], |largest, &vector| simd.max_f32s(largest, vector));
    let largest = simd.reduce_max_f32s(largest);
    scores.iter_mut().for_each(|score| *score = exp(*score - largest));
    scores[positions..].fill(0.0);
    let vectors = S::as_simd_f32s(scores).0;
    let sum = vectors.iter().fold(simd.splat_f32s(0.0), |sum, &vector| simd.add_f32s(sum, vector));
    simd.reduce_sum_f32s(sum)
}
