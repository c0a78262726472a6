//! The largest eigenvalues of a large symmetric matrix that is only given by its products with vectors.

use ndarray::{Array2, ArrayView2, Axis, Slice, concatenate};

use super::super::random::Random;
use crate::math::eigen;

/// Columns per block. Must exceed the multiplicity of eigenvalues: those of a graph's disconnected
/// components are equal.
const BLOCK: usize = 16;
/// Maximum number of products.
const STEPS: usize = 24;
/// Tolerance for `|A v - λ v|` of converged eigenpairs; the error of `λ` is about its square.
const RESIDUAL: f64 = 1e-4;
/// A column is linearly dependent if orthogonalization reduces its norm below this fraction.
const DEPENDENT: f64 = 1e-10;

/// Some eigenvalues of a symmetric matrix and their eigenvectors.
pub(super) struct Leading {
    /// The largest eigenvalues, in descending order.
    pub(super) values: Vec<f64>,
    /// `(row, eigenvalue)`: their eigenvectors, of length 1.
    pub(super) vectors: Array2<f64>,
    /// An approximation of the smallest eigenvalue, slightly too large. It does not affect convergence.
    pub(super) smallest: f64,
}

/// The `wanted` largest eigenvalues of a symmetric matrix with `count` rows, or all if there are fewer.
/// `product` multiplies the matrix by `(row, column)`.
///
/// The block Lanczos method with full reorthogonalization: the Krylov space of a block of random columns
/// contains vectors close to the eigenvectors at both ends of the spectrum, and the best approximations are
/// the eigenvectors of the matrix projected onto that space. Well-separated eigenvalues are exact after a
/// few products; after 24 products, the others are returned as they are, slightly too small.
///
/// Source: G. Golub, R. Underwood, "The block Lanczos method for computing eigenvalues", Mathematical
/// Software III, 1977.
pub(super) fn leading(
    count: usize,
    wanted: usize,
    product: impl Fn(ArrayView2<'_, f64>) -> Array2<f64>,
) -> Leading {
    let mut random = Random::new(0);
    let start = Array2::from_shape_simple_fn((count, BLOCK.max(wanted + 1)), || random.unit() - 0.5);
    let mut basis = orthonormal(start, ArrayView2::from_shape((count, 0), &[]).expect("an empty matrix")); // (row, basis vector)
    let mut block = basis.clone(); // (row, column)
    let mut products = Array2::zeros((count, 0)); // (row, basis vector)
    for step in 1.. {
        products = concatenate![Axis(1), products, product(block.view())];
        let projected = basis.t().dot(&products); // (basis vector, basis vector)
        let (values, inner) = eigen(&projected);
        let found = wanted.min(values.len());
        let leading: Vec<usize> = (0..found).map(|index| values.len() - 1 - index).collect();
        let inner = inner.select(Axis(1), &leading); // (basis vector, eigenvalue)
        let vectors = basis.dot(&inner); // (row, eigenvalue)
        let leading: Vec<f64> = leading.iter().map(|&index| values[index]).collect();

        let mut residuals = products.dot(&inner);
        for ((mut residual, vector), &value) in
            residuals.columns_mut().into_iter().zip(vectors.columns()).zip(&leading)
        {
            residual.scaled_add(-value, &vector);
        }
        let largest = residuals.columns().into_iter().map(|r| r.dot(&r)).fold(0.0, f64::max).sqrt();
        let last = products.slice_axis(Axis(1), Slice::from(products.ncols() - block.ncols()..)).to_owned();
        block = orthonormal(last, basis.view());
        if largest < RESIDUAL || block.ncols() == 0 || step == STEPS {
            return Leading { values: leading, vectors, smallest: values[0] };
        }
        basis = concatenate![Axis(1), basis, block];
    }
    unreachable!("the last step returns")
}

/// Orthonormal columns that are orthogonal to `basis` and, together with it, span `columns`. Linearly
/// dependent columns are dropped.
fn orthonormal(columns: Array2<f64>, basis: ArrayView2<'_, f64>) -> Array2<f64> {
    let before: Vec<f64> = columns.columns().into_iter().map(|c| c.dot(&c).sqrt()).collect();
    let mut columns = columns;
    // Twice, to remove the rounding errors of the first pass.
    for _ in 0..2 {
        columns = &columns - &basis.dot(&basis.t().dot(&columns));
    }
    let mut kept: Array2<f64> = Array2::zeros((columns.ncols(), columns.nrows())); // (column, row)
    let mut count = 0;
    for (column, before) in columns.columns().into_iter().zip(before) {
        let mut column = column.to_owned();
        for _ in 0..2 {
            for other in kept.rows().into_iter().take(count) {
                let along = other.dot(&column);
                column.scaled_add(-along, &other);
            }
        }
        let norm = column.dot(&column).sqrt();
        if norm > DEPENDENT * before {
            column /= norm;
            kept.row_mut(count).assign(&column);
            count += 1;
        }
    }
    kept.slice_axis(Axis(0), Slice::from(..count)).t().to_owned()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis};

    use super::{Random, leading};
    use crate::math::eigen;

    fn symmetric(count: usize) -> Array2<f64> {
        let mut random = Random::new(3);
        let half = Array2::from_shape_simple_fn((count, count), || random.unit() - 0.5);
        &half + &half.t()
    }

    #[test]
    fn well_separated_eigenvalues_match_the_dense_solver() {
        let count = 300;
        let mut matrix = symmetric(count) * 0.1;
        for (index, height) in [40.0, 30.0, 29.0, 20.0, 20.0, 12.0].into_iter().enumerate() {
            matrix[[index * 7, index * 7]] += height;
        }
        let (values, vectors) = eigen(&matrix);
        let found = leading(count, 6, |x| matrix.dot(&x));
        for (index, value) in found.values.iter().enumerate() {
            assert!((value - values[count - 1 - index]).abs() < 1e-8, "{index}: {value}");
            // If two eigenvalues are nearly equal, the vector lies in the space of both eigenvectors.
            let along = vectors.t().dot(&found.vectors.column(index));
            let near = along.iter().zip(&values).filter(|(_, other)| (*other - value).abs() < 1.0);
            assert!((near.map(|(part, _)| part * part).sum::<f64>() - 1.0).abs() < 1e-8);
        }
        assert!((found.smallest - values[0]).abs() < 0.05, "{} {}", found.smallest, values[0]);
    }

    /// The first block alone spans the whole space, or contains all eigenvectors needed.
    #[test]
    fn small_and_equal_matrices() {
        let small = symmetric(5);
        let found = leading(5, 3, |x| small.dot(&x));
        let (values, _) = eigen(&small);
        assert!((0..3).all(|index| (found.values[index] - values[4 - index]).abs() < 1e-12));
        let found = leading(100, 10, |x| x.to_owned());
        assert!(found.values.iter().all(|value| (value - 1.0).abs() < 1e-12));
        let gram = found.vectors.t().dot(&found.vectors) - Array2::<f64>::eye(10);
        assert!(gram.sum_axis(Axis(0)).iter().all(|x| x.abs() < 1e-12));
    }
}
