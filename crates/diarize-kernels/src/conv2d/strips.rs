//! The output of a convolution, cut into strips of rows that are made in parallel.

use rayon::prelude::*;

use super::{Activation, Dims};

/// What a convolution is applied to.
#[derive(Clone, Copy)]
pub(super) struct Images<'a> {
    /// `(batch, rows, columns, inputs)`.
    pub(super) x: &'a [f32],
    /// Rows and columns of an image.
    pub(super) shape: [usize; 2],
    /// Whether the output is added, before the activation, to what is in its place.
    pub(super) onto: bool,
    pub(super) activation: Activation,
}

/// Some rows of an image's output, and what they are made of.
pub(super) struct Strip<'a> {
    /// The whole image.
    pub(super) images: Images<'a>,
    /// The first row of the output.
    pub(super) first_row: usize,
    /// One pixel of padding.
    pub(super) zeros: &'a [f32],
    pub(super) y: &'a mut [f32],
}

impl Images<'_> {
    /// Makes `y` `(batch, rows', columns', outputs)`, as many rows at a time as given.
    pub(super) fn in_strips(&self, dims: Dims, rows: usize, y: &mut [f32], make: impl Fn(Strip<'_>) + Sync) {
        let [output_rows, output_columns] = dims.output(self.shape);
        let (image, row) =
            (self.shape.iter().product::<usize>() * dims.inputs, output_columns * dims.outputs);
        if y.is_empty() {
            return;
        }
        let zeros = vec![0f32; dims.inputs];
        y.par_chunks_mut(output_rows * row).enumerate().for_each(|(index, y)| {
            let x = &self.x[index * image..][..image];
            y.par_chunks_mut(rows * row).enumerate().for_each(|(index, y)| {
                let images = Images { x, ..*self };
                make(Strip { images, first_row: index * rows, zeros: &zeros, y });
            });
        });
    }
}
