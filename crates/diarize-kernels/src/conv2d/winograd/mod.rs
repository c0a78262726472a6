//! Winograd convolution F(4 x 4, 3 x 3) for 3 x 3 kernels of stride 1, with a quarter of the multiplications.
//! A tile of 4 x 4 outputs and its 6 x 6 inputs are treated as polynomials, which are multiplied through
//! their values at six points along each axis. Between the two transforms there are 36 matrix products, from
//! input channels to output channels, over a block of tiles that stays in the cache.
//!
//! Results do not depend on the batch or the number of threads.
//!
//! Source: Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016. The points 0,
//! ±¾, ±1½ and infinity lie closer together than the usual integers. This keeps the f32 error small, and
//! all factors of the transforms of inputs and outputs are exact.

mod kernel;

use std::cell::RefCell;

use pulp::{Simd, WithSimd};

pub(super) use self::kernel::Packed;
use super::{
    Dims,
    cpu::{PIXELS, VECTORS, activate},
    strips::{Images, Strip},
};
use crate::simd::{self, accumulate};

/// Outputs of a tile along an axis.
const TILE: usize = 4;
/// Interpolation points along an axis, which is also the number of inputs of a tile.
const POINTS: usize = 6;
const POINTS_2D: usize = POINTS * POINTS;
/// Tiles in a block, a multiple of [`PIXELS`].
const BLOCK: usize = 48;
/// Distance, in values, between a block's data at one point and at the next. The padding maps the points of a
/// tile to different cache sets, so that they do not evict each other.
const fn point_stride(channels: usize) -> usize {
    const CACHE_LINE: usize = 16;
    BLOCK * channels + CACHE_LINE
}

/// The interpolation points are 0, `±A`, `±B` and infinity.
const A: f64 = 0.75;
const B: f64 = 1.5;

thread_local! {
    /// A block's transformed inputs and outputs.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// An array of the values for the indices 0 to 5. A function with a closure would not be compiled for the
/// chosen vector instructions.
macro_rules! unrolled {
    ($index:ident => $value:expr) => {{
        [
            {
                let $index = 0;
                $value
            },
            {
                let $index = 1;
                $value
            },
            {
                let $index = 2;
                $value
            },
            {
                let $index = 3;
                $value
            },
            {
                let $index = 4;
                $value
            },
            {
                let $index = 5;
                $value
            },
        ]
    }};
}

/// Loads the vector that starts at `at`.
#[inline(always)]
fn load<S: Simd>(values: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&values[at..][..S::F32_LANES]).0[0]
}

/// Transforms six inputs to their values at the points.
#[inline(always)]
fn inputs_at_points<S: Simd>(simd: S, x: [S::f32s; POINTS]) -> [S::f32s; POINTS] {
    let [a, b] = [A, B].map(|x| simd.splat_f32s(x as f32));
    let [minus_a, minus_b] = [A, B].map(|x| simd.splat_f32s(-x as f32));
    let [a2, b2, sum] = [A * A, B * B, A * A + B * B].map(|x| simd.splat_f32s(-x as f32));
    let product = simd.splat_f32s((A * A * B * B) as f32);
    let fma = |x, y, z| simd.mul_add_e_f32s(x, y, z);
    let (even_a, odd_a) = (fma(b2, x[2], x[4]), fma(b2, x[1], x[3]));
    let (even_b, odd_b) = (fma(a2, x[2], x[4]), fma(a2, x[1], x[3]));
    [
        fma(product, x[0], fma(sum, x[2], x[4])),
        fma(a, odd_a, even_a),
        fma(minus_a, odd_a, even_a),
        fma(b, odd_b, even_b),
        fma(minus_b, odd_b, even_b),
        fma(product, x[1], fma(sum, x[3], x[5])),
    ]
}

/// Transforms values at the points to four outputs.
#[inline(always)]
fn outputs_of_points<S: Simd>(simd: S, m: [S::f32s; POINTS]) -> [S::f32s; TILE] {
    let splat = |x: f64| simd.splat_f32s(x as f32);
    let fma = |x, y, z| simd.mul_add_e_f32s(x, y, z);
    let (even_a, odd_a) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (even_b, odd_b) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(m[0], simd.add_f32s(even_a, even_b)),
        fma(splat(B), odd_b, simd.mul_f32s(splat(A), odd_a)),
        fma(splat(B * B), even_b, simd.mul_f32s(splat(A * A), even_a)),
        fma(splat(B * B * B), odd_b, fma(splat(A * A * A), odd_a, m[5])),
    ]
}

/// Fills `y` `(batch, rows', columns', outputs)`.
pub(super) fn conv2d(packed: &Packed, images: Images<'_>, y: &mut [f32]) {
    let dims = packed.dims;
    let [output_rows, output_columns] = dims.output(images.shape);
    let arch = simd::arch();
    // Enough rows to fill about two blocks, so that narrow outputs fetch the weights less often. If there is only one
    // image, more and smaller strips keep several threads busy.
    let blocks = if images.x.len() > images.image_len(dims) { 2 } else { 1 };
    let tile_rows =
        (blocks * BLOCK).div_ceil(output_columns.div_ceil(TILE).max(1)).min(output_rows.div_ceil(TILE));
    images.in_strips(dims, tile_rows * TILE, y, |strip| {
        SCRATCH.with_borrow_mut(|scratch| {
            let tiles = POINTS_2D * (point_stride(dims.inputs) + point_stride(dims.outputs));
            let length = tiles + POINTS * dims.inputs * packed.width;
            if scratch.len() < length {
                scratch.resize(length, 0.0);
            }
            arch.dispatch(Tiles { packed, strip, scratch: &mut scratch[..length] });
        });
    });
}

/// The tiles of a strip.
struct Tiles<'a> {
    packed: &'a Packed,
    strip: Strip<'a>,
    scratch: &'a mut [f32],
}

impl WithSimd for Tiles<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Dims { inputs, outputs, .. } = self.packed.dims;
        let columns = self.packed.dims.output(self.strip.images.shape)[1];
        let tile_columns = columns.div_ceil(TILE);
        let tiles = (self.strip.y.len() / (columns * outputs)).div_ceil(TILE) * tile_columns;
        let scratch = std::mem::take(&mut self.scratch);
        let (v, scratch) = scratch.split_at_mut(POINTS_2D * point_stride(inputs));
        let (m, kernels) = scratch.split_at_mut(POINTS_2D * point_stride(outputs));
        for first in (0..tiles).step_by(BLOCK) {
            let count = BLOCK.min(tiles - first);
            for tile in 0..count {
                let (row, column) = ((first + tile) / tile_columns, (first + tile) % tile_columns);
                self.transform_inputs(simd, [self.strip.first_row + row * TILE, column * TILE], tile, v);
            }
            self.multiply(simd, count.next_multiple_of(PIXELS), v, m, kernels);
            for tile in 0..count {
                let (row, column) = ((first + tile) / tile_columns, (first + tile) % tile_columns);
                self.transform_outputs(simd, [row * TILE, column * TILE], columns, tile, m);
            }
        }
    }
}

#[expect(clippy::needless_range_loop, reason = "rows of one array are columns of another")]
impl Tiles<'_> {
    /// Transforms the inputs of the tile at `[row, column]` of the output into `v[point][tile][channel]`.
    #[inline(always)]
    fn transform_inputs<S: Simd>(&self, simd: S, [row, column]: [usize; 2], tile: usize, v: &mut [f32]) {
        let Dims { inputs, padding, .. } = self.packed.dims;
        let Images { x, shape: [rows, columns], .. } = self.strip.images;
        let mut pixels: [&[f32]; POINTS_2D] = [self.strip.zeros; POINTS_2D];
        for (index, pixel) in pixels.iter_mut().enumerate() {
            let row = (row + index / POINTS).wrapping_sub(padding[0]);
            let column = (column + index % POINTS).wrapping_sub(padding[1]);
            if row < rows && column < columns {
                *pixel = &x[(row * columns + column) * inputs..][..inputs];
            }
        }
        for at in (0..inputs).step_by(S::F32_LANES) {
            let values: [_; POINTS] =
                unrolled!(j => inputs_at_points(simd, unrolled!(i => load::<S>(pixels[i * POINTS + j], at)))); // [column][point]
            for p in 0..POINTS {
                let x = inputs_at_points(simd, unrolled!(j => values[j][p]));
                for (q, x) in x.into_iter().enumerate() {
                    let place = (p * POINTS + q) * point_stride(inputs) + tile * inputs + at;
                    S::as_mut_simd_f32s(&mut v[place..][..S::F32_LANES]).0[0] = x;
                }
            }
        }
    }

    /// Computes the matrix products at each point into `m[point][tile][output channel]`. `buffer` has room for the
    /// kernels of a group at the points in a row.
    #[inline(always)]
    fn multiply<S: Simd>(&self, simd: S, tiles: usize, v: &[f32], m: &mut [f32], buffer: &mut [f32]) {
        let Packed { dims: Dims { inputs, outputs, .. }, width, .. } = *self.packed;
        for p in 0..POINTS {
            for group in 0..outputs / width {
                let kernels = self.packed.at_points(simd, group, p, buffer);
                for (q, kernels) in kernels.chunks_exact(inputs * width).enumerate() {
                    let v = &v[(p * POINTS + q) * point_stride(inputs)..][..BLOCK * inputs];
                    let m = &mut m[(p * POINTS + q) * point_stride(outputs)..][..BLOCK * outputs];
                    self.product(simd, tiles, v, S::as_simd_f32s(kernels).0, group, m);
                }
            }
        }
    }

    /// Computes the matrix product for one point and one group of output channels into `m[tile][output channel]`.
    #[inline(always)]
    fn product<S: Simd>(
        &self,
        simd: S,
        tiles: usize,
        v: &[f32],
        weights: &[S::f32s],
        group: usize,
        m: &mut [f32],
    ) {
        let Dims { inputs, outputs, .. } = self.packed.dims;
        let width = self.packed.width;
        for tile in (0..tiles).step_by(PIXELS) {
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; PIXELS];
            let mut rows: [&[f32]; PIXELS] = [&[]; PIXELS];
            for (index, row) in rows.iter_mut().enumerate() {
                *row = &v[(tile + index) * inputs..][..inputs];
            }
            accumulate(simd, rows, weights, &mut sums);
            for (index, sums) in sums.into_iter().enumerate() {
                let at = (tile + index) * outputs + group * width;
                S::as_mut_simd_f32s(&mut m[at..][..width]).0.copy_from_slice(&sums);
            }
        }
    }

    /// Transforms `m` back into the outputs of the tile at `[row, column]` of `y`.
    #[inline(always)]
    fn transform_outputs<S: Simd>(
        &mut self,
        simd: S,
        [row, column]: [usize; 2],
        columns: usize,
        tile: usize,
        m: &[f32],
    ) {
        let outputs = self.packed.dims.outputs;
        let Images { residual, activation, .. } = self.strip.images;
        let rows = self.strip.y.len() / (columns * outputs);
        for o in (0..outputs).step_by(S::F32_LANES) {
            let values: [_; POINTS] = unrolled!(q => outputs_of_points(simd, unrolled!(p => load::<S>(m, (p * POINTS + q) * point_stride(outputs) + tile * outputs + o)))); // [point of the columns][row]
            let bias = S::as_simd_f32s(&self.packed.bias[o..][..S::F32_LANES]).0[0];
            for i in 0..TILE.min(rows - row) {
                let sums = outputs_of_points(simd, unrolled!(q => values[q][i]));
                for (j, sum) in sums.into_iter().enumerate() {
                    if column + j >= columns {
                        break;
                    }
                    let at = ((row + i) * columns + column + j) * outputs + o;
                    let mut sum = simd.add_f32s(sum, bias);
                    let y = &mut S::as_mut_simd_f32s(&mut self.strip.y[at..][..S::F32_LANES]).0[0];
                    if residual {
                        sum = simd.add_f32s(sum, *y);
                    }
                    *y = activate(simd, activation, sum);
                }
            }
        }
    }
}
