//! Computed from the definition, in f64.

/// The output `(n, width)` for `queries` `(n, width)` and `keys` and `values` `(positions, width)`.
pub fn attention(queries: &[f32], keys: &[f32], values: &[f32], width: usize, heads: usize) -> Vec<f64> {
    let columns = width / heads;
    let mut output = vec![0.0; queries.len()];
    for (query, output) in queries.chunks_exact(width).zip(output.chunks_exact_mut(width)) {
        for first in (0..width).step_by(columns) {
            let head = first..first + columns;
            let weight = |key: &[f32]| {
                let products = query[head.clone()].iter().zip(&key[head.clone()]);
                products.map(|(&q, &k)| f64::from(q) * f64::from(k)).sum::<f64>().exp()
            };
            let weights: Vec<f64> = keys.chunks_exact(width).map(weight).collect();
            let total: f64 = weights.iter().sum();
            for column in head.clone() {
                let weighted = weights.iter().zip(values.chunks_exact(width));
                output[column] = weighted.map(|(w, value)| w * f64::from(value[column])).sum::<f64>() / total;
            }
        }
    }
    output
}
