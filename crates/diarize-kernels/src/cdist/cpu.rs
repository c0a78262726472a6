//! The fast path: each lane of a vector register sums one pair, in the order of the dimensions.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;

use super::{Real, cosine_distance, dot};
use crate::simd;

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
    let arch = simd::arch();
    condensed(rows, |block, tile| arch.dispatch(|| squared_distances(block, tile)), |sum, _, _| sum.sqrt())
}

pub(super) fn cosine_condensed<T: Real>(rows: ArrayView2<'_, T>) -> Vec<f64> {
    let arch = simd::arch();
    let norms: Vec<f64> = rows.rows().into_iter().map(|row| dot(row, row).sqrt()).collect();
    condensed(
        rows,
        |block, tile| arch.dispatch(|| pair_dots(block, tile)),
        |dot, a, b| cosine_distance(dot, norms[a], norms[b]),
    )
}

/// A value for every pair of rows: `finish` makes it of the sum over the dimensions, which `sums` gives
/// for the rows of a block and those of a tile, and of the two rows' numbers.
fn condensed<T: Real>(
    rows: ArrayView2<'_, T>,
    sums: impl Fn(&[[f64; ROWS]], &[[f64; LANES]]) -> [[f64; LANES]; ROWS] + Sync,
    finish: impl Fn(f64, usize, usize) -> f64 + Sync,
) -> Vec<f64> {
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
                let sums = sums(block, tile);
                for (row, (output, sums)) in outputs.iter_mut().zip(&sums).enumerate() {
                    let diagonal = first + row;
                    for (column, &sum) in (index * LANES..count).zip(sums) {
                        if column > diagonal {
                            output[column - diagonal - 1] = finish(sum, diagonal, column);
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

/// Dot products of the rows of a block with the rows of a tile: `[block row][tile row]`.
#[inline(always)]
fn pair_dots(block: &[[f64; ROWS]], tile: &[[f64; LANES]]) -> [[f64; LANES]; ROWS] {
    let mut dots = [[0.0; LANES]; ROWS];
    for (row, dots) in dots.iter_mut().enumerate() {
        *dots = dots_with(block.iter().map(|values| values[row]), tile);
    }
    dots
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
        let squares = arch.dispatch(|| squares(&tile));
        for (j, (row, &norm)) in b.iter().zip(&norms).enumerate() {
            let dots = arch.dispatch(|| dots_with(row.iter().copied(), &tile));
            for (distance, (dot, square)) in
                output.column_mut(j).iter_mut().zip(dots.into_iter().zip(squares))
            {
                *distance = cosine_distance(dot, square.sqrt(), norm);
            }
        }
    });
    distances
}

/// Dot products of one row with the rows of a tile, each of two sums as in [`dot`].
#[inline(always)]
fn dots_with(row: impl ExactSizeIterator<Item = f64>, tile: &[[f64; LANES]]) -> [f64; LANES] {
    let paired = row.len() - row.len() % 2;
    let mut sums = [[0.0; LANES]; 2];
    let mut rest = [0.0; LANES];
    for (dimension, (value, lanes)) in row.zip(tile).enumerate() {
        let sums = if dimension < paired { &mut sums[dimension % 2] } else { &mut rest };
        for (sum, lane) in sums.iter_mut().zip(lanes) {
            *sum += value * lane;
        }
    }
    std::array::from_fn(|lane| (sums[0][lane] + sums[1][lane]) + rest[lane])
}

/// Dot products of the rows of a tile with themselves.
#[inline(always)]
fn squares(tile: &[[f64; LANES]]) -> [f64; LANES] {
    std::array::from_fn(|lane| {
        let row: Vec<f64> = tile.iter().map(|lanes| lanes[lane]).collect();
        dot(ArrayView1::from(&row), ArrayView1::from(&row))
    })
}
