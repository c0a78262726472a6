//! Splits the output of a convolution into strips of rows that are computed in parallel.

use rayon::prelude::*;

use super::{Activation, Dims};

/// The inputs and options of a convolution.
#[derive(Clone, Copy)]
pub(super) struct Images<'a> {
    /// `(batch, rows, columns, inputs)`.
    pub(super) x: &'a [f32],
    /// Rows and columns of an image.
    pub(super) shape: [usize; 2],
    /// Whether the output buffer holds a residual to add before the activation.
    pub(super) residual: bool,
    pub(super) activation: Activation,
}

/// A few consecutive output rows of one image, and the inputs to compute them.
pub(super) struct Strip<'a> {
    /// The one image that the strip belongs to.
    pub(super) images: Images<'a>,
    /// Index of the strip's first output row.
    pub(super) first_row: usize,
    /// The channels of a padding pixel.
    pub(super) zeros: &'a [f32],
    pub(super) y: &'a mut [f32],
}

impl Images<'_> {
    /// Number of values of an image.
    pub(super) fn image_len(&self, dims: Dims) -> usize {
        self.shape.iter().product::<usize>() * dims.inputs
    }

    /// Splits `y` `(batch, rows', columns', outputs)` into strips of `rows` rows and calls `compute` for each.
    pub(super) fn in_strips(
        &self,
        dims: Dims,
        rows: usize,
        y: &mut [f32],
        compute: impl Fn(Strip<'_>) + Sync,
    ) {
        let [output_rows, output_columns] = dims.output(self.shape);
        let (image, row) = (self.image_len(dims), output_columns * dims.outputs);
        if y.is_empty() {
            return;
        }
        let zeros = vec![0f32; dims.inputs];
        y.par_chunks_mut(output_rows * row).enumerate().for_each(|(index, y)| {
            let x = &self.x[index * image..][..image];
            y.par_chunks_mut(rows * row).enumerate().for_each(|(index, y)| {
                let images = Images { x, ..*self };
                compute(Strip { images, first_row: index * rows, zeros: &zeros, y });
            });
        });
    }
}
