//! Eigenvalues and eigenvectors of symmetric matrices, on the CPU.
//!
//! Source: G. Golub, C. Van Loan, "Matrix Computations", 4th edition, 2013, sections 8.3.1 (tridiagonalization
//! with Householder reflections) and 8.3.3 to 8.3.5 (implicit QR iteration with Wilkinson's shift).

use ndarray::{Array2, aview1};

/// Eigenvalues of a symmetric matrix, in ascending order. The entries must be finite, and the largest
/// magnitude must be 0 or between 1e-150 and 1e150. Otherwise the result is meaningless.
pub fn eigenvalues(matrix: &Array2<f64>) -> Vec<f64> {
    let Tridiagonal { mut diagonal, mut beside, .. } = Tridiagonal::of(matrix);
    diagonalize(&mut diagonal, &mut beside, None);
    diagonal.sort_by(f64::total_cmp);
    diagonal
}

/// Eigenvalues of a symmetric matrix, in ascending order, and the eigenvectors as columns: `(row, eigenvalue)`.
/// The entries must be as for [`eigenvalues`].
pub fn eigen(matrix: &Array2<f64>) -> (Vec<f64>, Array2<f64>) {
    let Tridiagonal { mut diagonal, mut beside, reflections } = Tridiagonal::of(matrix);
    let count = diagonal.len();
    let mut vectors = Array2::eye(count); // (eigenvalue, row)
    diagonalize(&mut diagonal, &mut beside, Some(&mut vectors));
    for mut vector in vectors.rows_mut() {
        for (step, reflection) in reflections.iter().enumerate().rev() {
            let tail = &mut vector.as_slice_mut().expect("rows are contiguous")[step + 1..];
            reflection.apply(tail);
        }
    }
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|&a, &b| diagonal[a].total_cmp(&diagonal[b]));
    let values = order.iter().map(|&index| diagonal[index]).collect();
    (values, Array2::from_shape_fn((count, count), |(row, place)| vectors[[order[place], row]]))
}

/// `Q T Qᵀ` with a symmetric tridiagonal `T`. `Q` is the product of reflections.
struct Tridiagonal {
    diagonal: Vec<f64>,
    /// The entries next to the diagonal.
    beside: Vec<f64>,
    /// The reflection of step `k` acts on the rows from `k + 1` on.
    reflections: Vec<Reflection>,
}

/// `x - 2 (unit · x) unit`.
struct Reflection {
    /// A vector of length 1, or zeros for the identity.
    unit: Vec<f64>,
}

impl Reflection {
    /// The reflection that maps `x` to a multiple of the first unit vector, and that multiple.
    fn of(x: &[f64]) -> (Self, f64) {
        let norm = dot(x, x).sqrt();
        let mut unit = x.to_vec();
        if norm == 0.0 {
            return (Self { unit }, 0.0);
        }
        let first = -norm.copysign(x[0]); // the sign for which nothing cancels
        unit[0] -= first;
        let length = dot(&unit, &unit).sqrt();
        unit.iter_mut().for_each(|x| *x /= length);
        (Self { unit }, first)
    }

    fn apply(&self, x: &mut [f64]) {
        let along = 2.0 * dot(&self.unit, x);
        x.iter_mut().zip(&self.unit).for_each(|(x, unit)| *x -= along * unit);
    }

    /// Multiplies a symmetric matrix by the reflection from both sides. `rows` holds its lower triangle, from
    /// column `first` on.
    fn apply_on_both_sides(&self, rows: &mut [Vec<f64>], first: usize) {
        let unit = &self.unit;
        let mut product = vec![0.0; unit.len()]; // the matrix times the unit vector
        for (i, row) in rows.iter().enumerate() {
            let (left, diagonal) = (&row[first..first + i], row[first + i]);
            product[i] += dot(left, &unit[..i]) + diagonal * unit[i];
            product[..i].iter_mut().zip(left).for_each(|(sum, x)| *sum += unit[i] * x);
        }
        let along = 2.0 * dot(&product, unit);
        let other: Vec<f64> = product.iter().zip(unit).map(|(p, u)| 2.0 * p - along * u).collect();
        for (i, row) in rows.iter_mut().enumerate() {
            let pairs = unit.iter().zip(&other);
            row[first..].iter_mut().zip(pairs).for_each(|(x, (u, w))| *x -= unit[i] * w + other[i] * u);
        }
    }
}

impl Tridiagonal {
    /// Only the lower triangle is read.
    fn of(matrix: &Array2<f64>) -> Self {
        let count = matrix.nrows();
        let mut rows: Vec<Vec<f64>> = matrix
            .rows()
            .into_iter()
            .enumerate()
            .map(|(i, row)| row.iter().take(i + 1).copied().collect())
            .collect();
        let (mut beside, mut reflections) = (Vec::new(), Vec::new());
        for step in 0..count.saturating_sub(1) {
            let below: Vec<f64> = rows[step + 1..].iter().map(|row| row[step]).collect();
            let (reflection, first) = Reflection::of(&below);
            reflection.apply_on_both_sides(&mut rows[step + 1..], step + 1);
            beside.push(first);
            reflections.push(reflection);
        }
        let diagonal = rows.iter().map(|row| row[row.len() - 1]).collect();
        Self { diagonal, beside, reflections }
    }
}

/// Turns a symmetric tridiagonal matrix into a diagonal one by rotations of neighboring rows and columns, and
/// applies them to the rows of `vectors`. The order of the eigenvalues is arbitrary.
fn diagonalize(diagonal: &mut [f64], beside: &mut [f64], mut vectors: Option<&mut Array2<f64>>) {
    let norm = diagonal.iter().chain(&*beside).fold(0.0, |norm: f64, x| norm.max(x.abs()));
    // In this form NaN counts as zero, so that the iteration ends for every matrix.
    #[expect(clippy::neg_cmp_op_on_partial_ord)]
    let is_zero = |x: f64| !(x.abs() > f64::EPSILON * norm);
    let mut last = diagonal.len().saturating_sub(1);
    while last > 0 {
        if is_zero(beside[last - 1]) {
            last -= 1;
            continue;
        }
        let first = (1..last).rev().find(|&k| is_zero(beside[k - 1])).unwrap_or(0);
        let [mut x, mut z] = [diagonal[first] - shift(diagonal, beside, last), beside[first]];
        for k in first..last {
            let length = x.hypot(z);
            let (c, s) = if length == 0.0 { (1.0, 0.0) } else { (x / length, z / length) };
            if k > first {
                beside[k - 1] = length;
            }
            let [a, b, d] = [diagonal[k], beside[k], diagonal[k + 1]];
            diagonal[k] = c * c * a + 2.0 * c * s * b + s * s * d;
            diagonal[k + 1] = s * s * a - 2.0 * c * s * b + c * c * d;
            beside[k] = c * s * (d - a) + (c * c - s * s) * b;
            x = beside[k];
            if k + 1 < last {
                z = s * beside[k + 1];
                beside[k + 1] *= c;
            }
            if let Some(vectors) = &mut vectors {
                rotate(vectors, k, c, s);
            }
        }
    }
}

/// Wilkinson's shift: the eigenvalue of the 2 x 2 block ending at `last` that is closer to its last entry.
fn shift(diagonal: &[f64], beside: &[f64], last: usize) -> f64 {
    let b = beside[last - 1];
    let half = 0.5 * (diagonal[last - 1] - diagonal[last]);
    diagonal[last] - b * b / (half + half.hypot(b).copysign(half))
}

/// Rotates row `k` and the next.
fn rotate(vectors: &mut Array2<f64>, k: usize, c: f64, s: f64) {
    let count = vectors.ncols();
    let rows = &mut vectors.as_slice_mut().expect("rows are contiguous")[k * count..][..2 * count];
    let (upper, lower) = rows.split_at_mut(count);
    for (x, y) in upper.iter_mut().zip(lower) {
        (*x, *y) = (c * *x + s * *y, c * *y - s * *x);
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    aview1(x).dot(&aview1(y))
}

#[cfg(test)]
mod tests {
    use diarize_testkit::Random;
    use ndarray::{Array1, Array2};

    use super::{eigen, eigenvalues};

    fn random(count: usize) -> Array2<f64> {
        let mut random = Random(3);
        let half = Array2::from_shape_simple_fn((count, count), || f64::from(random.signed()));
        &half + &half.t()
    }

    /// Checks the definition: `A v = λ v` with orthonormal `v`.
    fn check(matrix: &Array2<f64>) {
        let (values, vectors) = eigen(matrix);
        let scale = matrix.iter().fold(f64::MIN_POSITIVE, |most: f64, x| most.max(x.abs()));
        let tolerance = 1e-14 * scale * (matrix.nrows() as f64 + 1.0);
        assert!(values.is_sorted());
        let alone = eigenvalues(matrix);
        assert!(values.iter().zip(&alone).all(|(x, y)| (x - y).abs() < tolerance));
        let errors = matrix.dot(&vectors) - &vectors * &Array1::from(values);
        assert!(errors.iter().all(|error| error.abs() < tolerance), "{errors}");
        let gram = vectors.t().dot(&vectors) - Array2::<f64>::eye(matrix.nrows());
        assert!(gram.iter().all(|error| error.abs() < 1e-14 * (matrix.nrows() as f64 + 1.0)), "{gram}");
    }

    #[test]
    fn random_matrices() {
        for count in [0, 1, 2, 3, 4, 7, 50, 200] {
            check(&random(count));
        }
        check(&(random(30) * 1e150));
        check(&(random(30) * 1e-150));
    }

    #[test]
    fn special_matrices() {
        check(&Array2::zeros((6, 6)));
        check(&Array2::eye(6));
        check(&Array2::ones((6, 6)));
        check(&Array2::from_diag(&Array1::from_iter((0..6).map(|x| f64::from(x % 3)))));
        // A zero before others in a column, and equal entries on the diagonal.
        check(&Array2::from_shape_fn((6, 6), |(i, j)| f64::from(u8::from(i.abs_diff(j) == 2))));
        // Graded: eigenvalues of very different size.
        check(&Array2::from_shape_fn((12, 12), |(i, j)| 10f64.powi(-((i + j) as i32)) * random(12)[[i, j]]));
    }

    #[test]
    fn matrices_that_are_not_finite_do_not_hang() {
        for value in [f64::NAN, f64::INFINITY, f64::MAX] {
            for at in [[0, 0], [3, 3], [4, 1]] {
                let mut matrix = random(6);
                matrix[at] = value;
                assert_eq!(eigenvalues(&matrix).len(), 6);
            }
        }
    }

    /// The second difference of `n` points has the eigenvalues `2 - 2 cos(k π / (n + 1))`.
    #[test]
    fn known_eigenvalues() {
        let count = 100;
        let matrix = Array2::from_shape_fn((count, count), |(i, j)| match i.abs_diff(j) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        });
        for (k, value) in eigenvalues(&matrix).into_iter().enumerate() {
            let angle = std::f64::consts::PI * (k + 1) as f64 / (count + 1) as f64;
            assert!((value - (2.0 - 2.0 * angle.cos())).abs() < 1e-13, "{k}: {value}");
        }
    }
}
