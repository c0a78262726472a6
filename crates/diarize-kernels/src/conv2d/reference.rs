//! The convolution computed directly from its definition, in f64.

use super::{Activation, Dims};

/// Returns the output `(rows', columns', outputs)` for one input `x` `(rows, columns, inputs)`. The layout of
/// the arguments is that of [`super::Conv2d`].
pub fn conv2d(
    dims: Dims,
    [kernel, bias, x]: [&[f32]; 3],
    [rows, columns]: [usize; 2],
    residual: Option<&[f32]>,
    activation: Activation,
) -> Vec<f64> {
    let Dims { inputs, outputs, size, stride, padding } = dims;
    let [output_rows, output_columns] = dims.output([rows, columns]);
    let mut y = Vec::new();
    for h in 0..output_rows {
        for w in 0..output_columns {
            for o in 0..outputs {
                let mut sum =
                    f64::from(bias[o]) + residual.map_or(0.0, |residual| f64::from(residual[y.len()]));
                for (i, j) in (0..size[0]).flat_map(|i| (0..size[1]).map(move |j| (i, j))) {
                    let (row, column) = (h * stride + i, w * stride + j);
                    let inside = (padding[0]..padding[0] + rows).contains(&row)
                        && (padding[1]..padding[1] + columns).contains(&column);
                    if inside {
                        for c in 0..inputs {
                            let x = x[((row - padding[0]) * columns + column - padding[1]) * inputs + c];
                            sum += f64::from(x)
                                * f64::from(kernel[((o * inputs + c) * size[0] + i) * size[1] + j]);
                        }
                    }
                }
                y.push(match activation {
                    Activation::Identity => sum,
                    Activation::Relu => sum.max(0.0),
                    Activation::Absolute => sum.abs(),
                    Activation::LeakyRelu => sum.max(0.01 * sum),
                });
            }
        }
    }
    y
}
