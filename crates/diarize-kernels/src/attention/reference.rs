//! Computed from the definition, in f64.

/// The output `(n, width)` for `queries` `(n, width)` and `keys` and `values` `(positions, width)`.
pub fn attention(queries: &[f32], keys: &[f32], values: &[f32], width: usize, heads: usize) -> Vec<f64> {
    let (columns, positions) = (width / heads, keys.len() / width);
    let mut output = vec![0.0; queries.len()];
    for head in 0..heads {
        let scores = scores(queries, keys, width, columns, head);
        for (scores, output) in scores.chunks_exact(positions).zip(output.chunks_exact_mut(width)) {
            let weights: Vec<f64> = scores.iter().map(|score| score.exp()).collect();
            let total: f64 = weights.iter().sum();
            for column in head * columns..(head + 1) * columns {
                let weighted = weights.iter().zip(values.chunks_exact(width));
                output[column] = weighted.map(|(w, value)| w * f64::from(value[column])).sum::<f64>() / total;
            }
        }
    }
    output
}

/// The scores `(n, positions)` of `queries` `(n, width)` and `keys` `(positions, width)` in a head of `columns` columns.
pub fn scores(queries: &[f32], keys: &[f32], width: usize, columns: usize, head: usize) -> Vec<f64> {
    let head = head * columns..(head + 1) * columns;
    let score = |query: &[f32], key: &[f32]| -> f64 {
        let products = query[head.clone()].iter().zip(&key[head.clone()]);
        products.map(|(&q, &k)| f64::from(q) * f64::from(k)).sum()
    };
    let queries = queries.chunks_exact(width);
    queries
        .flat_map(|query| keys.chunks_exact(width).map(move |key| (query, key)))
        .map(|(q, k)| score(q, k))
        .collect()
}
