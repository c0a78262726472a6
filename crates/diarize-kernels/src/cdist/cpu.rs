//! The fast path: each lane of a vector register accumulates one pair, in the order of the dimensions.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{Real, cosine_distance, dot};
use crate::simd;

/// Rows in a transposed tile: one load reads one dimension of all of them.
const LANES: usize = 8;
/// Rows compared with a tile at a time. Their sums fit in registers.
const ROWS: usize = 4;
/// Blocks of [`ROWS`] rows compared with a tile before the next tile is loaded.
const BLOCKS: usize = 8;

/// Up to [`LANES`] rows, transposed: `[dimension][row]`. Missing rows are zeros.
type Tile = Vec<[f64; LANES]>;

fn tile<T: Real>(rows: ArrayView2<'_, T>) -> Tile {
    let mut tile = vec![[0.0; LANES]; rows.ncols()];
    for (lane, row) in rows.rows().into_iter().enumerate() {
        for (lanes, &value) in tile.iter_mut().zip(row) {
            lanes[lane] = value.into();
        }
    }
    tile
}

pub(super) fn euclidean_pairs<T: Real>(rows: ArrayView2<'_, T>) -> Vec<Vec<f64>> {
    let arch = simd::arch();
    pairs(rows, |block, tile| arch.dispatch(SquaredDistances { block, tile }), |sum, _, _| sum.sqrt())
}

pub(super) fn cosine_pairs<T: Real>(rows: ArrayView2<'_, T>) -> Vec<Vec<f64>> {
    let arch = simd::arch();
    let norms: Vec<f64> = rows.rows().into_iter().map(|row| dot(row, row).sqrt()).collect();
    pairs(
        rows,
        |block, tile| arch.dispatch(PairDots { block, tile }),
        |dot, a, b| cosine_distance(dot, norms[a], norms[b]),
    )
}

/// Computes a value for every pair of rows. `sums` returns the sums over the dimensions for a block of rows and
/// a tile; `finish` turns such a sum and the indices of its two rows into the value.
fn pairs<T: Real>(
    rows: ArrayView2<'_, T>,
    sums: impl Fn(&[[f64; ROWS]], &[[f64; LANES]]) -> [[f64; LANES]; ROWS] + Sync,
    finish: impl Fn(f64, usize, usize) -> f64 + Sync,
) -> Vec<Vec<f64>> {
    let (count, dimension) = rows.dim();
    let mut distances: Vec<Vec<f64>> = (0..count).map(|row| vec![0.0; count - 1 - row]).collect();
    let tiles: Vec<Tile> = rows.axis_chunks_iter(Axis(0), LANES).map(tile).collect();
    distances.par_chunks_mut(ROWS * BLOCKS).enumerate().for_each_init(
        || vec![vec![[0.0; ROWS]; dimension]; BLOCKS],
        |blocks, (group, outputs)| {
            let first = group * ROWS * BLOCKS;
            for (index, row) in rows.rows().into_iter().skip(first).take(ROWS * BLOCKS).enumerate() {
                for (values, &value) in blocks[index / ROWS].iter_mut().zip(row) {
                    values[index % ROWS] = value.into();
                }
            }
            for (index, tile) in tiles.iter().enumerate().skip(first / LANES) {
                let columns = index * LANES..count.min((index + 1) * LANES);
                for ((outputs, block), first) in
                    outputs.chunks_mut(ROWS).zip(&*blocks).zip((first..columns.end - 1).step_by(ROWS))
                {
                    let sums = sums(block, tile);
                    for (diagonal, (output, sums)) in (first..).zip(outputs.iter_mut().zip(&sums)) {
                        for (column, &sum) in columns.clone().zip(sums) {
                            if column > diagonal {
                                output[column - diagonal - 1] = finish(sum, diagonal, column);
                            }
                        }
                    }
                }
            }
        },
    );
    distances
}

/// Squared Euclidean distances between the rows of a block and those of a tile: `[block row][tile row]`.
///
/// This is a type, like [`PairDots`], because closures would be compiled without the vector instructions.
struct SquaredDistances<'a> {
    block: &'a [[f64; ROWS]],
    tile: &'a [[f64; LANES]],
}

impl WithSimd for SquaredDistances<'_> {
    type Output = [[f64; LANES]; ROWS];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Self::Output {
        let mut sums = [[0.0; LANES]; ROWS];
        for (values, lanes) in self.block.iter().zip(self.tile) {
            for (sums, value) in sums.iter_mut().zip(values) {
                for (sum, lane) in sums.iter_mut().zip(lanes) {
                    let difference = value - lane;
                    *sum += difference * difference;
                }
            }
        }
        sums
    }
}

/// Dot products of the rows of a block with those of a tile: `[block row][tile row]`. Each uses two sums, as
/// [`dot`] does.
struct PairDots<'a, const ROWS: usize> {
    block: &'a [[f64; ROWS]],
    tile: &'a [[f64; LANES]],
}

impl<const ROWS: usize> WithSimd for PairDots<'_, ROWS> {
    type Output = [[f64; LANES]; ROWS];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> Self::Output {
        let (blocks, last_values) = self.block.as_chunks::<2>();
        let (tiles, last_lanes) = self.tile.as_chunks::<2>();
        let (mut even, mut odd) = ([[0.0; LANES]; ROWS], [[0.0; LANES]; ROWS]);
        for (values, lanes) in blocks.iter().zip(tiles) {
            add_products(&mut even, &values[0], &lanes[0]);
            add_products(&mut odd, &values[1], &lanes[1]);
        }
        for (even, odd) in even.as_flattened_mut().iter_mut().zip(odd.as_flattened()) {
            *even += odd;
        }
        for (values, lanes) in last_values.iter().zip(last_lanes) {
            add_products(&mut even, values, lanes);
        }
        even
    }
}

/// Adds the products of one dimension to the sums.
#[inline(always)]
fn add_products<const ROWS: usize>(
    sums: &mut [[f64; LANES]; ROWS],
    values: &[f64; ROWS],
    lanes: &[f64; LANES],
) {
    for (sums, value) in sums.iter_mut().zip(values) {
        for (sum, lane) in sums.iter_mut().zip(lanes) {
            *sum += value * lane;
        }
    }
}

pub(super) fn cosine<A: Real, B: Real>(a: ArrayView2<'_, A>, b: ArrayView2<'_, B>) -> Array2<f64> {
    let b: Vec<Vec<f64>> =
        b.rows().into_iter().map(|row| row.iter().map(|&value| value.into()).collect()).collect();
    let norms: Vec<f64> =
        b.iter().map(|row| dot(ArrayView1::from(row), ArrayView1::from(row)).sqrt()).collect();
    let mut distances = Array2::zeros((a.nrows(), b.len())); // (n, m)
    let arch = simd::arch();
    let outputs = distances.axis_chunks_iter_mut(Axis(0), LANES);
    let pieces: Vec<_> = outputs.zip(a.axis_chunks_iter(Axis(0), LANES)).collect();
    pieces.into_par_iter().for_each(|(mut output, rows)| {
        let tile = tile(rows);
        let squares = squares(&tile);
        for (j, (row, &norm)) in b.iter().zip(&norms).enumerate() {
            let [dots] = arch.dispatch(PairDots { block: row.as_chunks::<1>().0, tile: &tile });
            for (distance, (dot, square)) in
                output.column_mut(j).iter_mut().zip(dots.into_iter().zip(squares))
            {
                *distance = cosine_distance(dot, square.sqrt(), norm);
            }
        }
    });
    distances
}

/// The dot product of each row of a tile with itself.
fn squares(tile: &[[f64; LANES]]) -> [f64; LANES] {
    std::array::from_fn(|lane| {
        let row: Vec<f64> = tile.iter().map(|lanes| lanes[lane]).collect();
        dot(ArrayView1::from(&row), ArrayView1::from(&row))
    })
}
