//! f32 sums in NumPy's order of additions, which determines the last bits.

use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut1, Axis};

/// Euclidean norm, like `np.linalg.norm(…, axis=-1)` in f32.
pub fn norm(vector: ArrayView1<'_, f32>) -> f32 {
    let squares: Vec<f32> = vector.iter().map(|x| x * x).collect();
    pairwise_sum(&squares).sqrt()
}

/// The rows of `(row, dimension)`, each divided by its Euclidean norm, bit-identical to NumPy.
pub fn normalized(rows: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut rows = rows.to_owned();
    for mut row in rows.axis_iter_mut(Axis(0)) {
        row /= norm(row.view());
    }
    rows
}

/// NumPy's sum along contiguous values: the two halves are summed separately, down to blocks of 128 values,
/// which are summed in eight interleaved lanes.
fn pairwise_sum(values: &[f32]) -> f32 {
    const LANES: usize = 8;
    const BLOCK: usize = 128;
    if values.len() > BLOCK {
        let half = values.len() / 2;
        let (left, right) = values.split_at(half - half % LANES);
        return pairwise_sum(left) + pairwise_sum(right);
    }
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += value;
        }
    }
    let [a, b, c, d, e, f, g, h] = lanes;
    rest.iter().fold(((a + b) + (c + d)) + ((e + f) + (g + h)), |sum, value| sum + value)
}

/// The mean of each cluster's rows, `(cluster, dimension)`, like `np.mean(…, axis=0)` in f32: one row after
/// another. The mean of an empty cluster is zero.
pub fn cluster_means(rows: ArrayView2<'_, f32>, labels: &[usize], clusters: usize) -> Array2<f32> {
    means(rows, labels, clusters, |mut sum, row| sum += &row)
}

/// The [`cluster_means`] of the [`normalized`] rows. Does not copy all rows.
pub fn cluster_means_normalized(rows: ArrayView2<'_, f32>, labels: &[usize], clusters: usize) -> Array2<f32> {
    means(rows, labels, clusters, |mut sum, row| sum += &(&row / norm(row)))
}

/// For each cluster, the sum of its rows divided by their number. `add` adds a row to a sum.
fn means(
    rows: ArrayView2<'_, f32>,
    labels: &[usize],
    clusters: usize,
    add: impl Fn(ArrayViewMut1<'_, f32>, ArrayView1<'_, f32>),
) -> Array2<f32> {
    let mut means = Array2::zeros((clusters, rows.ncols()));
    let mut sizes = vec![0u32; clusters];
    for (row, &label) in rows.rows().into_iter().zip(labels) {
        add(means.row_mut(label), row);
        sizes[label] += 1;
    }
    for (mut mean, size) in means.axis_iter_mut(Axis(0)).zip(sizes) {
        mean /= size.max(1) as f32;
    }
    means
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::norm;

    /// The expected values are from `np.linalg.norm` of NumPy 2.4.6.
    #[test]
    fn norms_match_numpy_bit_for_bit() {
        let norms = [
            (5, 1122094900),
            (100, 1138585197),
            (165, 1141634513),
            (256, 1143880226),
            (300, 1144841705),
            (513, 1148384822),
        ];
        for (dimension, bits) in norms {
            let vector: Array1<f32> =
                (0..dimension).map(|i| ((i * i * 37 % 1009) as f32 - 500.0) / 7.0).collect();
            assert_eq!(norm(vector.view()).to_bits(), bits, "{dimension} dimensions");
        }
    }
}
