//! The fast path: each lane of a vector register sums one pair, in the order of the dimensions.

use ndarray::{Array2, ArrayView2, Axis};
use pulp::Arch;
use rayon::prelude::*;

use super::{Real, cosine_distance};

/// Rows that are held transposed, so that one load gives one dimension of all of them.
const LANES: usize = 8;
/// Rows that are compared with one tile before the next tile is loaded.
const ROWS: usize = 4;

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

pub(super) fn euclidean_condensed<T: Real>(rows: ArrayView2<'_, T>) -> Vec<f64> {
    let (count, dimension) = rows.dim();
    let mut distances = vec![0.0; count * count.saturating_sub(1) / 2];
    let tiles: Vec<Tile> = rows.axis_chunks_iter(Axis(0), LANES).map(tile).collect();

    // The rows of the triangle, each from the diagonal to the right, in groups of ROWS.
    let mut rest = distances.as_mut_slice();
    let mut triangle = Vec::with_capacity(count);
    for row in 0..count {
        let (head, tail) = rest.split_at_mut(count - 1 - row);
        triangle.push(head);
        rest = tail;
    }
    let arch = Arch::new();
    triangle.par_chunks_mut(ROWS).enumerate().for_each_init(
        || vec![[0.0; ROWS]; dimension],
        |block, (group, outputs)| {
            let first = group * ROWS;
            for (lane, row) in rows.rows().into_iter().skip(first).take(ROWS).enumerate() {
                for (values, &value) in block.iter_mut().zip(row) {
                    values[lane] = value.into();
                }
            }
            for (index, tile) in tiles.iter().enumerate().skip(first / LANES) {
                let sums = arch.dispatch(|| squared_distances(block, tile));
                for (row, (output, sums)) in outputs.iter_mut().zip(&sums).enumerate() {
                    let diagonal = first + row;
                    for (column, sum) in (index * LANES..count).zip(sums) {
                        if column > diagonal {
                            output[column - diagonal - 1] = sum.sqrt();
                        }
                    }
                }
            }
        },
    );
    distances
}

/// Squared Euclidean distances of the rows of a block to the rows of a tile: `[block row][tile row]`.
#[inline(always)]
fn squared_distances(block: &[[f64; ROWS]], tile: &[[f64; LANES]]) -> [[f64; LANES]; ROWS] {
    let mut sums = [[0.0; LANES]; ROWS];
    for (values, lanes) in block.iter().zip(tile) {
        for (sums, value) in sums.iter_mut().zip(values) {
            for (sum, lane) in sums.iter_mut().zip(lanes) {
                let difference = value - lane;
                *sum += difference * difference;
            }
        }
    }
    sums
}

pub(super) fn cosine<T: Real>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>) -> Array2<f64> {
    let b: Vec<Vec<f64>> =
        b.rows().into_iter().map(|row| row.iter().map(|&value| value.into()).collect()).collect();
    let norms: Vec<f64> = b.iter().map(|row| row.iter().fold(0.0, |sum, x| sum + x * x).sqrt()).collect();
    let mut distances = Array2::zeros((a.nrows(), b.len())); // (n, m)
    let arch = Arch::new();
    let outputs = distances.axis_chunks_iter_mut(Axis(0), LANES);
    let pieces: Vec<_> = outputs.zip(a.axis_chunks_iter(Axis(0), LANES)).collect();
    pieces.into_par_iter().for_each(|(mut output, rows)| {
        let tile = tile(rows);
        let squares = arch.dispatch(|| squares(&tile));
        for (j, (row, &norm)) in b.iter().zip(&norms).enumerate() {
            let dots = arch.dispatch(|| dots(row, &tile));
            for (distance, (dot, square)) in
                output.column_mut(j).iter_mut().zip(dots.into_iter().zip(squares))
            {
                *distance = cosine_distance(dot, square.sqrt(), norm);
            }
        }
    });
    distances
}

/// Dot products of one row with the rows of a tile.
#[inline(always)]
fn dots(row: &[f64], tile: &[[f64; LANES]]) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for (value, lanes) in row.iter().zip(tile) {
        for (sum, lane) in sums.iter_mut().zip(lanes) {
            *sum += value * lane;
        }
    }
    sums
}

/// Dot products of the rows of a tile with themselves.
#[inline(always)]
fn squares(tile: &[[f64; LANES]]) -> [f64; LANES] {
    let mut sums = [0.0; LANES];
    for lanes in tile {
        for (sum, lane) in sums.iter_mut().zip(lanes) {
            *sum += lane * lane;
        }
    }
    sums
}
