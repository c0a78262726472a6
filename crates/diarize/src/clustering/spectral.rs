//! Spectral clustering: the parts of a graph of neighbours that hang together loosely.

use diarize_kernels::cdist;
use faer::{Mat, Side};
use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    agglomerative::normalised,
    argmax,
    kmeans::{KMeans, kmeans},
    labels,
    sums::cluster_means,
};
use crate::options::SpeakerBounds;

/// Numbers of neighbours that [`Neighbours::Auto`] tries.
const CANDIDATES: usize = 12;
/// The largest share of the embeddings that it takes for neighbours.
const MAX_SHARE: f64 = 0.25;

/// Parameters of spectral clustering.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spectral {
    /// How many neighbours an embedding has in the graph.
    pub neighbours: Neighbours,
    /// At most this many speakers are found where the bounds set no limit.
    pub max_speakers: usize,
    /// Of more embeddings than this, an even choice is clustered and the others go to the nearest
    /// cluster: the time grows with the cube of the number.
    pub max_embeddings: usize,
    /// What makes clusters of the eigenvectors.
    pub kmeans: KMeans,
}

impl Default for Spectral {
    fn default() -> Self {
        Self {
            neighbours: Neighbours::Auto,
            max_speakers: 10,
            max_embeddings: 800,
            kmeans: KMeans::default(),
        }
    }
}

/// How many neighbours an embedding has, itself among them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Neighbours {
    /// This share of the embeddings, above 0 and at most 1.
    Share(f64),
    /// The number `p` for which `p / g` is smallest, `g` being the largest eigengap divided by the
    /// largest eigenvalue: few neighbours, but a clear number of speakers.
    Auto,
}

/// Clusters `embeddings` `(embedding, dimension)`, which must be finite and not zero: a cluster for
/// each, from 0 without gaps.
///
/// Every embedding is tied to its `p` nearest by cosine similarity (and to others as near as the last of
/// them), which gives a matrix of 0 and 1; `A` is the mean of it and its transpose. The number of
/// clusters `k` within `bounds` is where the gap between the eigenvalues `k` and `k + 1` (rising) of the
/// normalised Laplacian `L = 1 - D^-½ A D^-½`, `D` the row sums of `A`, is largest. The rows of the first
/// `k` eigenvectors, normalised, are clustered by k-means. The signs of the eigenvectors do not matter
/// to that, since it uses nothing but distances.
///
/// Source: A. Ng, M. Jordan, Y. Weiss, "On spectral clustering: analysis and an algorithm", NIPS 2001;
/// the binary graph and the choice of `p` from T. J. Park et al., "Auto-tuning spectral clustering for
/// speaker diarization using normalized maximum eigengap", IEEE Signal Processing Letters 27, 2020,
/// which uses the Laplacian that is not normalised.
pub(super) fn spectral(
    embeddings: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    parameters: &Spectral,
) -> Vec<usize> {
    let count = embeddings.nrows();
    let points = normalised(embeddings); // (embedding, dimension)
    let limit = parameters.max_embeddings.max(2).max(bounds.min);
    if count <= limit {
        return spectral_of_all(points.view(), bounds, parameters);
    }
    let chosen: Vec<usize> = (0..limit).map(|index| index * count / limit).collect();
    let some = points.select(Axis(0), &chosen);
    let found = spectral_of_all(some.view(), bounds, parameters);
    let means = cluster_means(some.view(), &found, labels::count(&found)); // (cluster, dimension)
    let distances = cdist::cosine(points.view(), means.view()); // (embedding, cluster)
    let nearest: Vec<usize> =
        distances.rows().into_iter().map(|row| argmax(row.iter().map(|distance| -distance))).collect();
    labels::by_first_member(&nearest)
}

fn spectral_of_all(points: ArrayView2<'_, f32>, bounds: SpeakerBounds, parameters: &Spectral) -> Vec<usize> {
    let count = points.nrows();
    if count < 2 || bounds.min >= count {
        return (0..count).collect();
    }
    // A gap lies between two eigenvalues, so there are fewer clusters than points.
    let most = bounds.max.unwrap_or(parameters.max_speakers.max(bounds.min)).min(count - 1);
    let range = (bounds.min, most);
    let similarities = 1.0 - cdist::cosine(points, points); // (embedding, embedding)
    let neighbours = match parameters.neighbours {
        Neighbours::Share(share) => ((share * count as f64).round() as usize).clamp(1, count),
        Neighbours::Auto => best_neighbours(&similarities, range),
    };
    let (values, vectors) = eigen(&laplacian(&similarities, neighbours));
    let (clusters, _) = largest_gap(&values, range);
    let mut rows = Array2::from_shape_fn((count, clusters), |(row, column)| vectors[(row, column)]);
    for mut row in rows.rows_mut() {
        let norm = row.dot(&row).sqrt();
        if norm > 0.0 {
            row /= norm;
        }
    }
    kmeans(rows.view(), clusters, &parameters.kmeans).labels
}

/// The number of neighbours that [`Neighbours::Auto`] describes, the smallest of equally good ones.
fn best_neighbours(similarities: &Array2<f64>, range: (usize, usize)) -> usize {
    let most = ((MAX_SHARE * similarities.nrows() as f64) as usize).max(2);
    let mut candidates: Vec<usize> =
        (1..=CANDIDATES).map(|step| (step * most).div_ceil(CANDIDATES).max(2)).collect();
    candidates.dedup();
    let ratio = |&neighbours: &usize| {
        let values = eigenvalues(&laplacian(similarities, neighbours));
        let (_, gap) = largest_gap(&values, range);
        let largest = values[values.len() - 1];
        neighbours as f64 * largest / gap.max(f64::MIN_POSITIVE)
    };
    let ratios: Vec<f64> = candidates.par_iter().map(ratio).collect();
    candidates[argmax(ratios.iter().map(|ratio| -ratio))]
}

/// The normalised Laplacian of the graph in which every point has that many neighbours.
fn laplacian(similarities: &Array2<f64>, neighbours: usize) -> Mat<f64> {
    let count = similarities.nrows();
    let last: Vec<f64> = similarities
        .rows()
        .into_iter()
        .map(|row| {
            let mut row = row.to_vec();
            *row.select_nth_unstable_by(neighbours - 1, |a, b| b.total_cmp(a)).1
        })
        .collect(); // similarity of each point's last neighbour
    let tie = |i: usize, j: usize| {
        0.5 * (f64::from(similarities[[i, j]] >= last[i]) + f64::from(similarities[[j, i]] >= last[j]))
    };
    let degrees: Vec<f64> = (0..count).map(|i| (0..count).map(|j| tie(i, j)).sum()).collect();
    Mat::from_fn(count, count, |i, j| f64::from(i == j) - tie(i, j) / (degrees[i] * degrees[j]).sqrt())
}

/// The number of clusters in `range` (both ends included) with the largest eigengap, and that gap.
fn largest_gap(values: &[f64], (least, most): (usize, usize)) -> (usize, f64) {
    let gaps: Vec<f64> = (least..=most).map(|clusters| values[clusters] - values[clusters - 1]).collect();
    let best = argmax(gaps.iter().copied());
    (least + best, gaps[best])
}

/// Eigenvalues, rising, and the eigenvectors as columns.
fn eigen(matrix: &Mat<f64>) -> (Vec<f64>, Mat<f64>) {
    let eigen = matrix.self_adjoint_eigen(Side::Lower).expect("a finite symmetric matrix has eigenvectors");
    (eigen.S().column_vector().iter().copied().collect(), eigen.U().to_owned())
}

/// Eigenvalues, rising.
fn eigenvalues(matrix: &Mat<f64>) -> Vec<f64> {
    matrix.self_adjoint_eigenvalues(Side::Lower).expect("a finite symmetric matrix has eigenvalues")
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::{eigenvalues, laplacian, largest_gap};

    /// Three cliques of four points: an eigenvalue of 0 for each, and of 1 for all else.
    #[test]
    fn every_component_of_the_graph_has_an_eigenvalue_of_zero() {
        let similarities = Array2::from_shape_fn((12, 12), |(i, j)| f64::from(i / 4 == j / 4));
        let values = eigenvalues(&laplacian(&similarities, 4));
        for (index, value) in values.iter().enumerate() {
            let expected = if index < 3 { 0.0 } else { 1.0 };
            assert!((value - expected).abs() < 1e-12, "{values:?}");
        }
        assert_eq!(largest_gap(&values, (1, 10)).0, 3);
        assert_eq!(largest_gap(&values, (4, 4)).0, 4);
    }
}
