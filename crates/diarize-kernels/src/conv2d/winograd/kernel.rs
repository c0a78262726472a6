//! The kernel and its transform.

use std::{array, sync::OnceLock};

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{A, B, POINTS, POINTS_2D, load};
use crate::{
    conv2d::{
        Dims,
        cpu::{in_tiles, width},
    },
    simd,
};

/// Taps of the kernel.
const TAPS: usize = 9;
/// For the points 0, `±A` and `±B`: the product of the point's differences from all other finite points.
const DIVISORS: [f64; 3] = [A * A * B * B, 2.0 * A * A * (A * A - B * B), 2.0 * B * B * (B * B - A * A)];

/// The kernel in the order in which the matrix products read it.
#[derive(Debug)]
pub(in crate::conv2d) struct Packed {
    pub(super) dims: Dims,
    weights: Weights,
    pub(super) bias: Vec<f32>,
    /// Output channels in a tile.
    pub(super) width: usize,
}

/// A transformed kernel takes four times the memory of the original.
#[derive(Debug)]
enum Weights {
    /// `(tile, point, input, output channel of the tile)`.
    Transformed(Vec<f32>),
    /// A large kernel, transformed for every block unless the transformed kernel is kept.
    Original {
        /// `(tile, tap, input, output channel of the tile)`.
        kernel: Vec<f32>,
        /// As in `Transformed`.
        kept: OnceLock<Vec<f32>>,
    },
}

/// Kernels with at least this many inputs times outputs are transformed again for every block, unless
/// [`Packed::keep_transformed`] is called. This saves 35 MB for the five such kernels of ResNet34, and takes 5 % of the
/// program's CPU time with one embedding of each chunk.
const LARGE: usize = 256 * 256;

impl Packed {
    /// Whether this algorithm supports the convolution.
    pub(in crate::conv2d) fn supports(dims: Dims) -> bool {
        let Dims { inputs, outputs, size, stride, .. } = dims;
        size == [3, 3] && stride == 1 && inputs.is_multiple_of(width()) && outputs.is_multiple_of(width())
    }

    pub(in crate::conv2d) fn new(dims: Dims, kernel: &[f32], bias: &[f32]) -> Self {
        let Dims { inputs, outputs, .. } = dims;
        let width = width();
        let weights = match inputs * outputs {
            LARGE.. => Weights::Original { kernel: in_tiles(dims, width, kernel), kept: OnceLock::new() },
            _ => Weights::Transformed(transformed(inputs, width, kernel)),
        };
        Self { dims, weights, bias: bias.to_vec(), width }
    }

    /// Transforms a large kernel once and keeps the result. The results of the convolution stay the same to the bit.
    pub(in crate::conv2d) fn keep_transformed(&self) {
        if let Weights::Original { kernel, kept } = &self.weights {
            let size = self.dims.inputs * self.width;
            kept.get_or_init(|| simd::arch().dispatch(TransformAll { kernel, size }));
        }
    }

    /// The kernels of a tile at the points in row `p`: `(point, input, output channel of the tile)`. If the weights
    /// are stored in their original form, the kernels are computed into `buffer`.
    #[inline(always)]
    pub(super) fn at_points<'a, S: Simd>(
        &'a self,
        simd: S,
        tile: usize,
        p: usize,
        buffer: &'a mut [f32],
    ) -> &'a [f32] {
        let size = self.dims.inputs * self.width;
        match &self.weights {
            Weights::Transformed(weights) => {
                &weights[(tile * POINTS_2D + p * POINTS) * size..][..POINTS * size]
            }
            Weights::Original { kernel, kept } => match kept.get() {
                Some(weights) => &weights[(tile * POINTS_2D + p * POINTS) * size..][..POINTS * size],
                None => {
                    transform(simd, &kernel[tile * TAPS * size..], p, size, buffer);
                    &buffer[..POINTS * size]
                }
            },
        }
    }
}

/// The kernel `(outputs, inputs, tap)` as `(tile, point, input, output channel of the tile)`.
fn transformed(inputs: usize, width: usize, kernel: &[f32]) -> Vec<f32> {
    let mut weights = vec![0f32; kernel.len() / TAPS * POINTS_2D];
    let tiles = weights.par_chunks_mut(POINTS_2D * inputs * width);
    tiles.zip(kernel.par_chunks(TAPS * inputs * width)).for_each(|(weights, kernels)| {
        let (kernels, _) = kernels.as_chunks::<TAPS>(); // (output channel of the tile, input)
        // In the order of the output, which is four times as long as the input.
        for at in 0..inputs * width {
            let kernel = kernels[at % width * inputs + at / width];
            let rows: [_; 3] =
                array::from_fn(|i| kernel_at_points(array::from_fn(|j| f64::from(kernel[3 * i + j]))));
            for q in 0..POINTS {
                for (p, value) in kernel_at_points(rows.map(|row| row[q])).into_iter().enumerate() {
                    weights[(p * POINTS + q) * inputs * width + at] = value as f32;
                }
            }
        }
    });
    weights
}

/// Values of `g[0] + g[1] x + g[2] x²` at the points, scaled by the interpolation factors.
fn kernel_at_points(g: [f64; 3]) -> [f64; POINTS] {
    let at = |x: f64| g[0] + x * (g[1] + x * g[2]);
    let [zero, a, b] = DIVISORS;
    [g[0] / zero, at(A) / a, at(-A) / a, at(B) / b, at(-B) / b, g[2]]
}

/// For each point, the factors by which [`kernel_at_points`] multiplies `g[0]`, `g[1]` and `g[2]`.
const FACTORS: [[f64; 3]; POINTS] = {
    let [zero, a, b] = DIVISORS;
    [
        [1.0 / zero, 0.0, 0.0],
        [1.0 / a, A / a, A * A / a],
        [1.0 / a, -A / a, A * A / a],
        [1.0 / b, B / b, B * B / b],
        [1.0 / b, -B / b, B * B / b],
        [0.0, 0.0, 1.0],
    ]
};

/// Like [`kernel_at_points`], for vectors.
#[inline(always)]
fn kernels_at_points<S: Simd>(simd: S, g: [S::f32s; 3]) -> [S::f32s; POINTS] {
    let (a, b) = (factors(simd, 1), factors(simd, 3));
    let even_a = simd.mul_add_e_f32s(a[2], g[2], simd.mul_f32s(a[0], g[0]));
    let even_b = simd.mul_add_e_f32s(b[2], g[2], simd.mul_f32s(b[0], g[0]));
    let (odd_a, odd_b) = (simd.mul_f32s(a[1], g[1]), simd.mul_f32s(b[1], g[1]));
    [
        simd.mul_f32s(factors(simd, 0)[0], g[0]),
        simd.add_f32s(even_a, odd_a),
        simd.sub_f32s(even_a, odd_a),
        simd.add_f32s(even_b, odd_b),
        simd.sub_f32s(even_b, odd_b),
        g[2],
    ]
}

/// The factors of a point in every lane.
#[inline(always)]
fn factors<S: Simd>(simd: S, point: usize) -> [S::f32s; 3] {
    let [zero, one, two] = FACTORS[point];
    [simd.splat_f32s(zero as f32), simd.splat_f32s(one as f32), simd.splat_f32s(two as f32)]
}

/// Transforms all tiles of a kernel `(tile, tap, input, output channel of the tile)` with `size` inputs times outputs
/// each.
struct TransformAll<'a> {
    kernel: &'a [f32],
    size: usize,
}

impl WithSimd for TransformAll<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { kernel, size } = self;
        let mut weights = vec![0f32; kernel.len() / TAPS * POINTS_2D];
        let tiles = weights.chunks_exact_mut(POINTS_2D * size).zip(kernel.chunks_exact(TAPS * size));
        for (weights, kernel) in tiles {
            for p in 0..POINTS {
                transform(simd, kernel, p, size, &mut weights[p * POINTS * size..][..POINTS * size]);
            }
        }
        weights
    }
}

/// Transforms kernels `(tap, input, output)`, with `size` inputs times outputs, to their values at the points in row
/// `p`: `(point, input, output)`.
#[inline(always)]
fn transform<S: Simd>(simd: S, kernels: &[f32], p: usize, size: usize, values: &mut [f32]) {
    let factors = factors(simd, p);
    for at in (0..size).step_by(S::F32_LANES) {
        let mut columns = [simd.splat_f32s(0.0); 3];
        for (j, column) in columns.iter_mut().enumerate() {
            for (i, factor) in factors.into_iter().enumerate() {
                *column = simd.mul_add_e_f32s(factor, load::<S>(kernels, (3 * i + j) * size + at), *column);
            }
        }
        for (q, value) in kernels_at_points(simd, columns).into_iter().enumerate() {
            S::as_mut_simd_f32s(&mut values[q * size + at..][..S::F32_LANES]).0[0] = value;
        }
    }
}
