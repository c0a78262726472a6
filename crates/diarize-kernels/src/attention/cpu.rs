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

/// The keys and values of a head in the order in which tiles read them.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// `(tile, column, position within the tile)`.
    keys: Vec<f32>,
    /// `(tile, position, column within the tile)`.
    values: Vec<f32>,
    positions: usize,
    columns: usize,
}

/// The heads of keys and values `(positions, width)`.
pub(super) fn heads(keys: &[f32], values: &[f32], width: usize, heads: usize) -> Vec<Head> {
    let (arch, columns) = (simd::arch(), width / heads);
    let pack = |index: usize| arch.dispatch(Pack { keys, values, width, columns, first: index * columns });
    (0..heads).into_par_iter().map(pack).collect()
}

/// The output `(n, width)` of queries `(n, width)`.
pub(super) fn attend(queries: &[f32], heads: &[Head], width: usize) -> Vec<f32> {
    let (count, columns) = (queries.len() / width, width / heads.len());
    if count == 0 {
        return Vec::new();
    }
    let arch = simd::arch();
    let mut by_head = vec![0f32; queries.len()]; // (head, n, column of the head)
    by_head.par_chunks_exact_mut(count * columns).zip(heads).enumerate().for_each(
        |(index, (output, head))| {
            let first = index * columns;
            output.par_chunks_mut(BLOCK * columns).enumerate().for_each(|(block, output)| {
                let queries = &queries[block * BLOCK * width..];
                arch.dispatch(Attend(Block { queries, width, first, head, output }));
            });
        },
    );
    if count == 1 {
        return by_head;
    }
    let mut output = vec![0f32; queries.len()];
    output.par_chunks_exact_mut(width).enumerate().for_each(|(query, output)| {
        for (index, output) in output.chunks_exact_mut(columns).enumerate() {
            output.copy_from_slice(&by_head[(index * count + query) * columns..][..columns]);
        }
    });
    output
}

/// The scores `(n, positions)` of queries `(n, width)` in `head`, which is the head number `index`.
pub(super) fn scores(queries: &[f32], head: &Head, width: usize, index: usize) -> Vec<f32> {
    let arch = simd::arch();
    let mut output = vec![0f32; queries.len() / width * head.positions];
    output.par_chunks_mut(BLOCK * head.positions).enumerate().for_each(|(block, output)| {
        let queries = &queries[block * BLOCK * width..];
        arch.dispatch(Scores(Block { queries, width, first: index * head.columns, head, output }));
    });
    output
}

struct Pack<'a> {
    /// `(positions, width)`.
    keys: &'a [f32],
    /// `(positions, width)`.
    values: &'a [f32],
    width: usize,
    columns: usize,
    /// The first column of the head.
    first: usize,
}

impl WithSimd for Pack<'_> {
    type Output = Head;

    fn with_simd<S: Simd>(self, _: S) -> Head {
        let Self { keys, values, width, columns, first } = self;
        let positions = keys.len() / width;
        let tile = VECTORS * S::F32_LANES;
        let key = |position: usize, column: usize| keys[position * width + first + column];
        let value = |column: usize, position: usize| values[position * width + first + column];
        Head {
            keys: in_tiles(tile, positions, columns, key),
            values: in_tiles(tile, columns, positions, value),
            positions,
            columns,
        }
    }
}

/// `value` of all `outputs` and `inputs` as `(tile, input, output within the tile)`. The last tile is padded with zeros.
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
    /// `(query, width)`, from the block's first query on. Queries of other blocks may follow.
    queries: &'a [f32],
    width: usize,
    /// The first column of the head.
    first: usize,
    head: &'a Head,
    /// What is computed for each query of the block.
    output: &'a mut [f32],
}

/// Computes the outputs `(query, column of the head)`.
struct Attend<'a>(Block<'a>);

impl WithSimd for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Block { queries, width, first, head, output } = self.0;
        for (group, output) in output.chunks_mut(QUERIES * head.columns).enumerate() {
            let queries = &queries[group * QUERIES * width + first..];
            match output.len() / head.columns {
                1 => head.attend::<S, 1>(simd, queries, width, output),
                _ => head.attend::<S, QUERIES>(simd, queries, width, output),
            }
        }
    }
}

/// Computes the scores `(query, position)`.
struct Scores<'a>(Block<'a>);

impl WithSimd for Scores<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Block { queries, width, first, head, output } = self.0;
        for (group, output) in output.chunks_mut(QUERIES * head.positions).enumerate() {
            let queries = &queries[group * QUERIES * width + first..];
            let count = output.len() / head.positions;
            let scores = head.scores::<S, QUERIES>(simd, queries, width, count);
            let scores = scores.chunks_exact(scores.len() / QUERIES);
            for (output, scores) in output.chunks_exact_mut(head.positions).zip(scores) {
                output.copy_from_slice(&scores[..head.positions]);
            }
        }
    }
}

impl Head {
    /// The scores `(N, positions, padded to whole tiles)` of the first `count` queries. Their rows have `width` values, of which the
    /// first ones are the columns of this head. If there are fewer than `N` queries, the last one is repeated.
    #[inline(always)]
    fn scores<S: Simd, const N: usize>(
        &self,
        simd: S,
        queries: &[f32],
        width: usize,
        count: usize,
    ) -> Vec<f32> {
        let row = |row: usize| &queries[row.min(count - 1) * width..][..self.columns];
        let mut scores = vec![0f32; N * self.positions.next_multiple_of(VECTORS * S::F32_LANES)];
        products(simd, std::array::from_fn::<_, N, _>(row), &self.keys, &mut scores);
        scores
    }

    /// Fills `output` `(at most N queries, column of the head)`.
    #[inline(always)]
    fn attend<S: Simd, const N: usize>(&self, simd: S, queries: &[f32], width: usize, output: &mut [f32]) {
        let &Self { positions, columns, .. } = self;
        let mut scores = self.scores::<S, N>(simd, queries, width, output.len() / columns);
        let padded = scores.len() / N;
        let mut totals = [0.0; N];
        for (scores, total) in scores.chunks_exact_mut(padded).zip(&mut totals) {
            *total = exponentials(simd, scores, positions);
        }
        let weights: [&[f32]; N] = std::array::from_fn(|index| &scores[index * padded..][..positions]);
        let padded = columns.next_multiple_of(VECTORS * S::F32_LANES);
        let mut mixed = vec![0f32; N * padded];
        products(simd, weights, &self.values, &mut mixed);
        let mixed = mixed.chunks_exact(padded).zip(totals);
        for (output, (mixed, total)) in output.chunks_exact_mut(columns).zip(mixed) {
            output.iter_mut().zip(mixed).for_each(|(output, mixed)| *output = mixed / total);
        }
    }
}

/// The products of rows with all tiles, `(row, output)`.
#[inline(always)]
fn products<S: Simd, const N: usize>(simd: S, rows: [&[f32]; N], tiles: &[f32], output: &mut [f32]) {
    let tile = VECTORS * S::F32_LANES;
    let padded = output.len() / N;
    for (index, weights) in tiles.chunks_exact(tile * rows[0].len()).enumerate() {
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; N];
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
