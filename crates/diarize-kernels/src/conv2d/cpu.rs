//! Direct convolution without unfolding the input. The sums of a tile (a few pixels by two vectors of output
//! channels) stay in registers while the loop runs over all taps and input channels. Rows run in parallel.
//!
//! Results do not depend on the batch or the number of threads.

use pulp::{Simd, WithSimd};

use super::{
    Activation, Dims,
    strips::{Images, Strip},
};
use crate::simd::{self, accumulate};

/// Pixels in a tile.
pub(super) const PIXELS: usize = 6;
/// Vectors of output channels in a tile. With [`PIXELS`] pixels, the tile fits in 16 registers.
pub(super) const VECTORS: usize = 2;

/// The weights in the order in which a tile reads them, `(tile, tap, input, output channel of the tile)`. Taps
/// are ordered row by row.
#[derive(Debug)]
pub(crate) struct Packed {
    dims: Dims,
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// Output channels in a tile. The last tile is padded with zeros.
    width: usize,
}

impl Packed {
    pub(super) fn new(dims: Dims, kernel: &[f32], bias: &[f32]) -> Self {
        let width = width();
        let mut bias = bias.to_vec();
        bias.resize(dims.outputs.next_multiple_of(width), 0.0);
        Self { dims, weights: in_tiles(dims, width, kernel), bias, width }
    }

    /// A linear layer, with `weights` `(outputs, inputs)` and `bias` `(outputs,)`.
    pub(crate) fn linear(inputs: usize, weights: &[f32], bias: &[f32]) -> Self {
        Self::new(
            Dims { inputs, outputs: bias.len(), size: [1, 1], stride: 1, padding: [0, 0] },
            weights,
            bias,
        )
    }
}

/// The kernel `(outputs, inputs, tap)` as `(tile, tap, input, output channel of the tile)`. The last tile is padded
/// with zeros.
pub(super) fn in_tiles(dims: Dims, width: usize, kernel: &[f32]) -> Vec<f32> {
    let Dims { inputs, outputs, size, .. } = dims;
    let taps = size[0] * size[1];
    let mut weights = Vec::with_capacity(outputs.next_multiple_of(width) * taps * inputs);
    for first in (0..outputs).step_by(width) {
        for (tap, c) in (0..taps).flat_map(|tap| (0..inputs).map(move |c| (tap, c))) {
            let weight = |o: usize| if o < outputs { kernel[(o * inputs + c) * taps + tap] } else { 0.0 };
            weights.extend((first..first + width).map(weight));
        }
    }
    weights
}

/// Maps `x` `(position, inputs)` to `y` `(position, outputs)` with a linear layer.
pub(crate) fn linear(packed: &Packed, x: &[f32], y: &mut [f32]) {
    let shape = [1, x.len() / packed.dims.inputs];
    conv2d(packed, Images { x, shape, residual: false, activation: Activation::Identity }, y);
}

/// Number of output channels in a tile on this processor.
pub(super) fn width() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            VECTORS * S::F32_LANES
        }
    }
    simd::arch().dispatch(Width)
}

/// Applies the activation to a vector of outputs.
#[inline(always)]
pub(super) fn activate<S: Simd>(simd: S, activation: Activation, x: S::f32s) -> S::f32s {
    match activation {
        Activation::Identity => x,
        // Unlike a maximum, this propagates NaN with every set of instructions.
        Activation::Relu => {
            let zero = simd.splat_f32s(0.0);
            simd.select_f32s(simd.less_than_f32s(x, zero), zero, x)
        }
        Activation::Absolute => simd.abs_f32s(x),
        Activation::LeakyRelu => {
            let (zero, small) = (simd.splat_f32s(0.0), simd.mul_f32s(simd.splat_f32s(0.01), x));
            simd.select_f32s(simd.less_than_f32s(x, zero), small, x)
        }
    }
}

/// Fills `y` `(batch, rows', columns', outputs)`.
pub(super) fn conv2d(packed: &Packed, images: Images<'_>, y: &mut [f32]) {
    let arch = simd::arch();
    images.in_strips(packed.dims, 1, y, |row| arch.dispatch(Row { packed, row }));
}

/// One row of the output.
struct Row<'a> {
    packed: &'a Packed,
    row: Strip<'a>,
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Dims { inputs, outputs, size, .. } = self.packed.dims;
        let tile_weights = size[0] * size[1] * inputs * self.packed.width;
        let Images { residual, activation, .. } = self.row.images;
        let pixels = self.row.y.len() / outputs;
        for (tile, weights) in self.packed.weights.chunks_exact(tile_weights).enumerate() {
            let first = tile * self.packed.width;
            let bias = &self.packed.bias[first..][..self.packed.width];
            for pixel in (0..pixels).step_by(PIXELS) {
                let sums = self.tile(simd, weights, bias, pixel);
                for (pixel, sums) in (pixel..pixels).zip(sums) {
                    for (vector, mut sum) in sums.into_iter().enumerate() {
                        let start = (first + vector * S::F32_LANES).min(outputs);
                        let end = (start + S::F32_LANES).min(outputs);
                        let at = pixel * outputs + start..pixel * outputs + end;
                        let y = &mut self.row.y[at];
                        if residual {
                            sum = simd.add_f32s(sum, simd.partial_load_f32s(y));
                        }
                        simd.partial_store_f32s(y, activate(simd, activation, sum));
                    }
                }
            }
        }
    }
}

impl Row<'_> {
    /// The sums of [`PIXELS`] pixels, starting at `first`. Sums past the end of the row are meaningless.
    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        simd: S,
        weights: &[f32],
        bias: &[f32],
        first: usize,
    ) -> [[S::f32s; VECTORS]; PIXELS] {
        let Dims { inputs, size, stride, padding, .. } = self.packed.dims;
        let Images { x, shape: [rows, columns], .. } = self.row.images;
        let (weights, _) = S::as_simd_f32s(weights);
        let (bias, _) = S::as_simd_f32s(bias);
        let mut sums = [[bias[0], bias[1]]; PIXELS];
        for i in 0..size[0] {
            let Some(row) =
                (self.row.first_row * stride + i).checked_sub(padding[0]).filter(|&row| row < rows)
            else {
                continue;
            };
            for j in 0..size[1] {
                let mut pixels: [&[f32]; PIXELS] = [self.row.zeros; PIXELS];
                for (pixel, channels) in pixels.iter_mut().enumerate() {
                    let column = ((first + pixel) * stride + j).wrapping_sub(padding[1]);
                    if column < columns {
                        *channels = &x[(row * columns + column) * inputs..][..inputs];
                    }
                }
                let weights = &weights[(i * size[1] + j) * inputs * VECTORS..][..inputs * VECTORS];
                accumulate(simd, pixels, weights, &mut sums);
            }
        }
        sums
    }
}
