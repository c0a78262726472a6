//! Splicing by copying whole sections, with the rows in parallel.

use rayon::prelude::*;

use super::Dims;

/// Returns `(rows, steps, channels)`. `inputs` has the values of each part; those of a part of zeros are not read.
pub(super) fn splice(dims: &Dims, inputs: &[&[f32]]) -> Vec<f32> {
    let &Dims { rows, channels, .. } = dims;
    let width = dims.steps() * channels;
    // SAFETY: the parts cover every row.
    let mut y = unsafe { crate::uninitialized(rows * width) };
    y.par_chunks_mut(width.max(1)).enumerate().for_each(|(row, mut y)| {
        for (part, x) in dims.parts.iter().zip(inputs) {
            for image in 0..part.batch {
                let (to, rest) = y.split_at_mut(part.length * channels);
                y = rest;
                match part.zeros {
                    true => to.fill(0.0),
                    false => {
                        let from = ((image * rows + row) * part.total + part.first) * channels;
                        to.copy_from_slice(&x[from..][..to.len()]);
                    }
                }
            }
        }
    });
    y
}
