//! Splicing computed directly from its definition, one value at a time.

use super::Dims;

/// Returns `(rows, steps, channels)`. `inputs` has the values of each part; those of a part of zeros are not read.
pub fn splice(dims: &Dims, inputs: &[&[f32]]) -> Vec<f64> {
    let &Dims { rows, channels, .. } = dims;
    let mut y = Vec::new();
    for row in 0..rows {
        for (part, x) in dims.parts.iter().zip(inputs) {
            for (image, step) in
                (0..part.batch).flat_map(|image| (0..part.length).map(move |step| (image, step)))
            {
                let value = |channel| {
                    let at = ((image * rows + row) * part.total + part.first + step) * channels + channel;
                    if part.zeros { 0.0 } else { f64::from(x[at]) }
                };
                y.extend((0..channels).map(value));
            }
        }
    }
    y
}
