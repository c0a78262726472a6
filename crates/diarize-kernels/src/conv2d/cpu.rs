//! The convolution without unfolding its input: a tile of a few pixels by two vectors of output
//! channels stays in registers while all taps and input channels pass; rows in parallel.
//!
//! An output depends on neither the batch nor the number of threads.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{Activation, Dims};

/// Pixels of a tile.
pub(super) const PIXELS: usize = 6;
/// Vectors of output channels of a tile; with `PIXELS`, what 16 registers hold.
pub(super) const VECTORS: usize = 2;

/// The weights in the order in which a tile reads them: for each tile of output channels the taps
/// row by row, for each tap the input channels, for each the output channels side by side.
#[derive(Debug)]
pub(super) struct Packed {
    dims: Dims,
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// Output channels of a tile. The last tile is filled up with zeros.
    width: usize,
}

impl Packed {
    pub(super) fn new(dims: Dims, kernel: &[f32], bias: &[f32]) -> Self {
        let width = width();
        let Dims { inputs, outputs, size, .. } = dims;
        let taps = size[0] * size[1];
        let mut weights = Vec::with_capacity(outputs.next_multiple_of(width) * taps * inputs);
        for first in (0..outputs).step_by(width) {
            for (tap, c) in (0..taps).flat_map(|tap| (0..inputs).map(move |c| (tap, c))) {
                let weight = |o: usize| if o < outputs { kernel[(o * inputs + c) * taps + tap] } else { 0.0 };
                weights.extend((first..first + width).map(weight));
            }
        }
        let mut bias = bias.to_vec();
        bias.resize(outputs.next_multiple_of(width), 0.0);
        Self { dims, weights, bias, width }
    }
}

/// Output channels of a tile on this processor.
pub(super) fn width() -> usize {
    struct Width;
    impl WithSimd for Width {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            VECTORS * S::F32_LANES
        }
    }
    Arch::new().dispatch(Width)
}

/// Adds to the sums of each pixel its channels times the weights, which are a group of [`VECTORS`] for
/// each channel.
#[inline(always)]
pub(super) fn accumulate<S: Simd>(
    simd: S,
    pixels: [&[f32]; PIXELS],
    weights: &[S::f32s],
    sums: &mut [[S::f32s; VECTORS]; PIXELS],
) {
    let weights = weights.as_chunks::<VECTORS>().0;
    assert!(pixels.iter().all(|pixel| pixel.len() >= weights.len()));
    for (c, weights) in weights.iter().enumerate() {
        for (sums, pixel) in sums.iter_mut().zip(pixels) {
            // SAFETY: every pixel has as many channels as there are groups of weights.
            let x = simd.splat_f32s(unsafe { *pixel.get_unchecked(c) });
            for (sum, &weight) in sums.iter_mut().zip(weights) {
                *sum = simd.mul_add_e_f32s(x, weight, *sum);
            }
        }
    }
}

/// What becomes of an output.
#[inline(always)]
pub(super) fn activate<S: Simd>(simd: S, activation: Activation, x: S::f32s) -> S::f32s {
    match activation {
        Activation::Identity => x,
        // In this order a NaN stays one.
        Activation::Relu => simd.max_f32s(simd.splat_f32s(0.0), x),
        Activation::Absolute => simd.abs_f32s(x),
    }
}

/// Fills `y` `(batch, rows', columns', outputs)` from `x` `(batch, rows, columns, inputs)`.
pub(super) fn conv2d(
    packed: &Packed,
    x: &[f32],
    [rows, columns]: [usize; 2],
    residual: Option<&[f32]>,
    activation: Activation,
    y: &mut [f32],
) {
    if y.is_empty() {
        return;
    }
    let dims = packed.dims;
    let [output_rows, output_columns] = dims.output([rows, columns]);
    let row_length = output_columns * dims.outputs;
    let arch = Arch::new();
    let zeros = vec![0f32; dims.inputs];
    y.par_chunks_mut(row_length).enumerate().for_each(|(index, y)| {
        let (image, row) = (index / output_rows, index % output_rows);
        let x = &x[image * rows * columns * dims.inputs..][..rows * columns * dims.inputs];
        let residual = residual.map(|residual| &residual[index * row_length..][..row_length]);
        arch.dispatch(Row { packed, x, rows, columns, row, zeros: &zeros, residual, activation, y });
    });
}

/// One row of the output.
struct Row<'a> {
    packed: &'a Packed,
    /// The whole input image.
    x: &'a [f32],
    rows: usize,
    columns: usize,
    row: usize,
    /// One pixel of padding.
    zeros: &'a [f32],
    residual: Option<&'a [f32]>,
    activation: Activation,
    y: &'a mut [f32],
}

impl WithSimd for Row<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Dims { inputs, outputs, size, .. } = self.packed.dims;
        let tile_weights = size[0] * size[1] * inputs * self.packed.width;
        let pixels = self.y.len() / outputs;
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
                        if let Some(residual) = self.residual {
                            sum = simd.add_f32s(sum, simd.partial_load_f32s(&residual[at.clone()]));
                        }
                        simd.partial_store_f32s(&mut self.y[at], activate(simd, self.activation, sum));
                    }
                }
            }
        }
    }
}

impl Row<'_> {
    /// Sums of [`PIXELS`] pixels from `first` on; those past the row's end are of no meaning.
    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        simd: S,
        weights: &[f32],
        bias: &[f32],
        first: usize,
    ) -> [[S::f32s; VECTORS]; PIXELS] {
        let Dims { inputs, size, stride, padding, .. } = self.packed.dims;
        let (weights, _) = S::as_simd_f32s(weights);
        let (bias, _) = S::as_simd_f32s(bias);
        let mut sums = [[bias[0], bias[1]]; PIXELS];
        for i in 0..size[0] {
            let Some(row) = (self.row * stride + i).checked_sub(padding[0]).filter(|&row| row < self.rows)
            else {
                continue;
            };
            for j in 0..size[1] {
                let pixels: [&[f32]; PIXELS] = std::array::from_fn(|pixel| {
                    match ((first + pixel) * stride + j)
                        .checked_sub(padding[1])
                        .filter(|&column| column < self.columns)
                    {
                        Some(column) => &self.x[(row * self.columns + column) * inputs..][..inputs],
                        None => self.zeros,
                    }
                });
                let weights = &weights[(i * size[1] + j) * inputs * VECTORS..][..inputs * VECTORS];
                accumulate(simd, pixels, weights, &mut sums);
            }
        }
        sums
    }
}
