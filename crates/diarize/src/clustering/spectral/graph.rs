//! Nearest-neighbor graphs, and the spectra of their normalized Laplacians.
//!
//! Every point is connected to its `p` nearest points by cosine similarity, including itself. This gives a
//! binary matrix `B` and a symmetric one, `A = (B + Bᵀ) / 2`. With `D` the row sums of `A`, the Laplacian
//! is `L = 1 - D^-½ A D^-½`.

use diarize_kernels::cdist;
use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use rayon::prelude::*;

use super::lanczos::{Leading, leading};
use crate::math::{eigen, eigenvalues};

/// Maximum number of points for a dense matrix, all of whose eigenvalues are computed.
pub(super) const MAX_DENSE: usize = 800;
/// Maximum number of neighbors stored per point of a sparse graph.
pub(super) const MAX_NEIGHBORS: usize = 512;
/// Maximum number of neighbors tried, as a fraction of the points.
const MAX_SHARE: f64 = 0.25;
/// Number of neighbor counts tried for a dense matrix.
const CANDIDATES: usize = 12;
/// Minimum number of neighbors tried for a sparse graph: that many are similar just because they are near
/// in time.
const FEWEST: usize = 32;
/// Number of points whose similarities to all others are in memory at once.
const ROWS: usize = 64;

/// Points and their similarities or nearest neighbors.
pub(super) enum Graph {
    /// `(point, point)`: cosine similarity.
    Dense(Array2<f64>),
    /// `(point, neighbor)`: indices of the nearest points, starting with the point itself.
    Sparse(Array2<u32>),
}

/// Eigenvalues of the Laplacian for a given number of neighbors.
pub(super) struct Spectrum {
    /// The smallest eigenvalues, in ascending order.
    pub(super) smallest: Vec<f64>,
    /// The largest eigenvalue; for a sparse graph about 1 % too small.
    pub(super) largest: f64,
}

impl Graph {
    /// The graph of `points` `(point, dimension)`, which must be normalized.
    pub(super) fn of(points: ArrayView2<'_, f32>) -> Self {
        match points.nrows() {
            0..=MAX_DENSE => Self::Dense(1.0 - cdist::cosine(points, points)),
            _ => Self::Sparse(nearest(points)),
        }
    }

    pub(super) fn points(&self) -> usize {
        match self {
            Self::Dense(similarities) => similarities.nrows(),
            Self::Sparse(neighbors) => neighbors.nrows(),
        }
    }

    /// Maximum number of neighbors available.
    pub(super) fn most_neighbors(&self) -> usize {
        match self {
            Self::Dense(similarities) => similarities.nrows(),
            Self::Sparse(neighbors) => neighbors.ncols(),
        }
    }

    /// Numbers of neighbors to try, in ascending order.
    pub(super) fn candidates(&self) -> Vec<usize> {
        let most = ((MAX_SHARE * self.points() as f64) as usize).max(2);
        let mut candidates: Vec<usize> = match self {
            Self::Dense(_) => {
                (1..=CANDIDATES).map(|step| (step * most).div_ceil(CANDIDATES).max(2)).collect()
            }
            Self::Sparse(_) => {
                let most = most.min(self.most_neighbors());
                std::iter::successors(Some(FEWEST), |&before| Some(2 * before))
                    .take_while(|&candidate| candidate <= most)
                    .collect()
            }
        };
        candidates.dedup();
        candidates
    }

    /// At least the `wanted` smallest eigenvalues of the Laplacian for a given number of neighbors.
    pub(super) fn spectrum(&self, neighbors: usize, wanted: usize) -> Spectrum {
        match self {
            Self::Dense(similarities) => {
                let smallest = eigenvalues(&laplacian(similarities, neighbors));
                Spectrum { largest: smallest[smallest.len() - 1], smallest }
            }
            Self::Sparse(nearest) => spectrum_of(&tied(nearest, neighbors, wanted)),
        }
    }

    /// Like [`Self::spectrum`], with the eigenvectors as columns: `(point, eigenvalue)`.
    pub(super) fn eigenvectors(&self, neighbors: usize, wanted: usize) -> (Spectrum, Array2<f64>) {
        match self {
            Self::Dense(similarities) => {
                let (smallest, vectors) = eigen(&laplacian(similarities, neighbors));
                (Spectrum { largest: smallest[smallest.len() - 1], smallest }, vectors)
            }
            Self::Sparse(nearest) => {
                let found = tied(nearest, neighbors, wanted);
                (spectrum_of(&found), found.vectors)
            }
        }
    }
}

/// The largest eigenvalues of `D^-½ A D^-½`, with eigenvectors.
fn tied(nearest: &Array2<u32>, neighbors: usize, wanted: usize) -> Leading {
    let ties = Ties::of(nearest.slice_axis(Axis(1), Slice::from(..neighbors)));
    leading(nearest.nrows(), wanted, |columns| ties.product(columns))
}

fn spectrum_of(Leading { values, smallest, .. }: &Leading) -> Spectrum {
    Spectrum { smallest: values.iter().map(|value| 1.0 - value).collect(), largest: 1.0 - smallest }
}

/// The Laplacian, `(point, point)`. Points as similar as the last neighbor are also connected.
pub(super) fn laplacian(similarities: &Array2<f64>, neighbors: usize) -> Array2<f64> {
    let count = similarities.nrows();
    let last: Vec<f64> = similarities
        .rows()
        .into_iter()
        .map(|row| {
            let mut row = row.to_vec();
            *row.select_nth_unstable_by(neighbors - 1, |a, b| b.total_cmp(a)).1
        })
        .collect(); // similarity of each point's last neighbor
    let tie = |i: usize, j: usize| {
        0.5 * (f64::from(similarities[[i, j]] >= last[i]) + f64::from(similarities[[j, i]] >= last[j]))
    };
    let degrees: Vec<f64> = (0..count).map(|i| (0..count).map(|j| tie(i, j)).sum()).collect();
    Array2::from_shape_fn((count, count), |(i, j)| {
        f64::from(i == j) - tie(i, j) / (degrees[i] * degrees[j]).sqrt()
    })
}

/// The nearest neighbors of each point: itself first, then by decreasing similarity, ties by index.
/// `(point, neighbor)`. Similarities are f32.
fn nearest(points: ArrayView2<'_, f32>) -> Array2<u32> {
    let count = points.nrows();
    let kept = MAX_NEIGHBORS.min(count);
    let mut neighbors = Array2::zeros((count, kept));
    let blocks: Vec<_> =
        neighbors.axis_chunks_iter_mut(Axis(0), ROWS).zip(points.axis_chunks_iter(Axis(0), ROWS)).collect();
    blocks.into_par_iter().enumerate().for_each(|(block, (mut neighbors, rows))| {
        let similarities = rows.dot(&points.t()); // (point of the block, point)
        let mut order: Vec<u32> = Vec::with_capacity(count);
        for (offset, (mut neighbors, similarities)) in
            neighbors.rows_mut().into_iter().zip(similarities.rows()).enumerate()
        {
            let own = (block * ROWS + offset) as u32;
            let key = |&point: &u32| (point != own, -similarities[point as usize]);
            let nearer = |a: &u32, b: &u32| {
                let ((other_a, a_far), (other_b, b_far)) = (key(a), key(b));
                other_a.cmp(&other_b).then(a_far.total_cmp(&b_far)).then(a.cmp(b))
            };
            order.clear();
            order.extend(0..count as u32);
            if kept < count {
                order.select_nth_unstable_by(kept, nearer);
            }
            order[..kept].sort_unstable_by(nearer);
            neighbors.assign(&ArrayView2::from_shape((1, kept), &order[..kept]).expect("a row").row(0));
        }
    });
    neighbors
}

/// `A` as adjacency lists: the points that each point is connected to, and those connected to it.
struct Ties<'a> {
    /// `(point, neighbor)`: the rows of `B`.
    to: ArrayView2<'a, u32>,
    /// The rows of `Bᵀ`, concatenated, and the start of each row.
    from: Vec<u32>,
    starts: Vec<usize>,
    /// `D^-½`.
    scale: Array1<f64>,
}

impl<'a> Ties<'a> {
    fn of(to: ArrayView2<'a, u32>) -> Self {
        let (count, neighbors) = to.dim();
        let mut starts = vec![0; count + 1];
        to.iter().for_each(|&point| starts[point as usize + 1] += 1);
        let degree = |tied_from: usize| 0.5 * (neighbors + tied_from) as f64;
        let scale = starts[1..].iter().map(|&tied_from| degree(tied_from).sqrt().recip()).collect();
        for point in 0..count {
            starts[point + 1] += starts[point];
        }
        let mut next = starts.clone();
        let mut from = vec![0; to.len()];
        for (point, row) in to.outer_iter().enumerate() {
            for &other in row {
                from[next[other as usize]] = point as u32;
                next[other as usize] += 1;
            }
        }
        Self { to, from, starts, scale }
    }

    /// `D^-½ A D^-½` times `(point, column)`.
    fn product(&self, columns: ArrayView2<'_, f64>) -> Array2<f64> {
        let scale = self.scale.view().insert_axis(Axis(1));
        let scaled: Vec<f64> = (&columns * &scale).into_iter().collect(); // (point, column)
        let width = columns.ncols();
        let mut product = vec![0.0; scaled.len()]; // (point, column)
        product.par_chunks_mut(width).enumerate().for_each(|(point, row)| {
            let from = &self.from[self.starts[point]..self.starts[point + 1]];
            for &other in self.to.row(point).iter().chain(from) {
                let other = &scaled[other as usize * width..][..width];
                row.iter_mut().zip(other).for_each(|(sum, value)| *sum += value);
            }
            row.iter_mut().for_each(|sum| *sum *= 0.5 * self.scale[point]);
        });
        Array2::from_shape_vec(columns.dim(), product).expect("rows of that width")
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ArrayView2, Axis, Slice};

    use super::{Graph, Ties, laplacian, nearest};
    use crate::{clustering::random::Random, math::normalized};

    /// Three cliques of four points have an eigenvalue of 0 each; the other eigenvalues are 1.
    #[test]
    fn every_component_of_the_graph_has_an_eigenvalue_of_zero() {
        let graph = Graph::Dense(Array2::from_shape_fn((12, 12), |(i, j)| f64::from(i / 4 == j / 4)));
        let values = graph.spectrum(4, 12).smallest;
        for (index, value) in values.iter().enumerate() {
            let expected = if index < 3 { 0.0 } else { 1.0 };
            assert!((value - expected).abs() < 1e-12, "{values:?}");
        }
    }

    fn points(count: usize) -> Array2<f32> {
        let mut random = Random::new(8);
        let points = Array2::from_shape_simple_fn((count, 6), || random.unit() as f32 - 0.5);
        normalized(points.view())
    }

    #[test]
    fn sparse_and_dense_graphs_have_the_same_laplacian() {
        let points = points(90);
        let similarities = 1.0 - diarize_kernels::cdist::cosine(points.view(), points.view());
        let lists = nearest(points.view());
        for neighbors in [1, 2, 7, 90] {
            let ties = Ties::of(lists.slice_axis(Axis(1), Slice::from(..neighbors)));
            let found = Array2::eye(90) - ties.product(Array2::eye(90).view());
            let difference = found - laplacian(&similarities, neighbors);
            assert!(difference.iter().all(|x: &f64| x.abs() < 1e-12), "{neighbors} neighbors");
        }
    }

    #[test]
    fn lanczos_finds_the_spectrum_of_the_dense_matrix() {
        let points = points(300);
        let dense = Graph::of(points.view());
        let sparse = Graph::Sparse(nearest(points.view()));
        for neighbors in [12, 40] {
            let (all, (some, vectors)) = (dense.spectrum(neighbors, 300), sparse.eigenvectors(neighbors, 6));
            assert_eq!(vectors.dim(), (300, 6));
            for (value, expected) in some.smallest.iter().zip(&all.smallest) {
                assert!((value - expected).abs() < 1e-6, "{neighbors}: {value}, not {expected}");
            }
            assert!((some.largest - all.largest).abs() < 1e-2, "{} {}", some.largest, all.largest);
        }
    }

    #[test]
    fn equal_points_have_themselves_as_first_neighbor() {
        let points = Array2::from_elem((5, 2), 0.5_f32.sqrt());
        let lists = nearest(points.view());
        let expected = [[0, 1, 2, 3, 4], [1, 0, 2, 3, 4], [2, 0, 1, 3, 4], [3, 0, 1, 2, 4], [4, 0, 1, 2, 3]];
        assert_eq!(lists, ArrayView2::from(&expected));
    }
}
