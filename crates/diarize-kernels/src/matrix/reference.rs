//! Computed from the definition, in f64.

/// The output `(n, outputs)` for `weights` `(outputs, inputs)` and `x` `(n, inputs)`.
pub fn products(weights: &[f32], x: &[f32], inputs: usize) -> Vec<f64> {
    let product =
        |x: &[f32], row: &[f32]| x.iter().zip(row).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum();
    x.chunks_exact(inputs)
        .flat_map(|x| weights.chunks_exact(inputs).map(move |row| product(x, row)))
        .collect()
}
