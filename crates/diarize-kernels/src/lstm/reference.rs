//! The layer computed directly from its definition, in f64, one sequence and one direction at a time.

use super::Dims;

/// Returns the output `(batch, steps, directions * hidden)`. The layout of the arguments is that of
/// [`super::lstm`].
pub fn lstm(dims: Dims, input: &[f32], recurrent: &[f32]) -> Vec<f64> {
    let Dims { batch, steps, directions, hidden } = dims;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let mut output = vec![0.0; batch * steps * directions * hidden];
    for row in 0..batch {
        for direction in 0..directions {
            let weights = &recurrent[direction * 4 * hidden * hidden..][..4 * hidden * hidden];
            let (mut h, mut c) = (vec![0.0; hidden], vec![0.0; hidden]);
            for step in 0..steps {
                let t = if direction == 0 { step } else { steps - 1 - step };
                let projected =
                    &input[((row * steps + t) * directions + direction) * 4 * hidden..][..4 * hidden];
                let gates: Vec<f64> = (0..4 * hidden)
                    .map(|gate| {
                        let weights = &weights[gate * hidden..][..hidden];
                        let recurrent: f64 = weights.iter().zip(&h).map(|(&w, h)| f64::from(w) * h).sum();
                        f64::from(projected[gate]) + recurrent
                    })
                    .collect();
                for unit in 0..hidden {
                    let [i, f, g, o] = [0, 1, 2, 3].map(|gate| gates[gate * hidden + unit]);
                    c[unit] = sigmoid(f) * c[unit] + sigmoid(i) * g.tanh();
                    h[unit] = sigmoid(o) * c[unit].tanh();
                }
                output[((row * steps + t) * directions + direction) * hidden..][..hidden].copy_from_slice(&h);
            }
        }
    }
    output
}
