//! The convolution by its definition, in f64.

use super::Dims;

/// The output `(rows', columns', outputs)` of one input `x` `(rows, columns, inputs)`; arguments are
/// laid out as in [`super::Conv2d`].
pub fn conv2d(
    dims: Dims,
    [kernel, bias, x]: [&[f32]; 3],
    [rows, columns]: [usize; 2],
    residual: Option<&[f32]>,
    rectify: bool,
) -> Vec<f64> {
    let Dims { inputs, outputs, size, stride, padding } = dims;
    let mut y = Vec::new();
    for h in 0..dims.output_length(rows) {
        for w in 0..dims.output_length(columns) {
            for o in 0..outputs {
                let mut sum =
                    f64::from(bias[o]) + residual.map_or(0.0, |residual| f64::from(residual[y.len()]));
                for (i, j) in (0..size).flat_map(|i| (0..size).map(move |j| (i, j))) {
                    let (row, column) = (h * stride + i, w * stride + j);
                    let inside = (padding..padding + rows).contains(&row)
                        && (padding..padding + columns).contains(&column);
                    if inside {
                        for c in 0..inputs {
                            let x = x[((row - padding) * columns + column - padding) * inputs + c];
                            sum += f64::from(x) * f64::from(kernel[((o * inputs + c) * size + i) * size + j]);
                        }
                    }
                }
                y.push(if rectify { sum.max(0.0) } else { sum });
            }
        }
    }
    y
}
