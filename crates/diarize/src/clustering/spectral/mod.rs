//! Spectral clustering: partitioning a nearest-neighbor graph where it is weakly connected.

mod graph;
mod lanczos;

use ndarray::{ArrayView2, Axis, Slice};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::graph::Graph;
use super::{
    ClusteringError, ComputeDevice,
    kmeans::{KMeans, kmeans},
    labels,
};
use crate::{
    math::{argmax, cluster_means, normalized},
    options::SpeakerBounds,
};

/// Parameters of spectral clustering.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Spectral {
    /// Number of neighbors of an embedding in the graph.
    pub neighbors: Neighbors,
    /// Maximum number of speakers if the bounds set no upper limit.
    pub max_speakers: usize,
    /// Maximum number of embeddings to cluster. Above this count, evenly spaced embeddings are clustered
    /// and the others are assigned to the nearest cluster, since the time grows with the square of the
    /// number.
    pub max_embeddings: usize,
    /// Parameters of k-means, which clusters the rows of the eigenvectors.
    pub kmeans: KMeans,
}

impl Default for Spectral {
    fn default() -> Self {
        Self {
            neighbors: Neighbors::Auto,
            max_speakers: 10,
            max_embeddings: 20_000,
            kmeans: KMeans::default(),
        }
    }
}

/// Number of neighbors of an embedding, including itself; at most 512 if there are more than 800 embeddings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Neighbors {
    /// A fraction of the embeddings, above 0 and at most 1: equivalent to a percentile of the similarities.
    Share(f64),
    /// A fixed number.
    Count(usize),
    /// The number `p` that minimizes `p / g`, where `g` is the largest eigengap divided by the largest
    /// eigenvalue: few neighbors, but a clear number of speakers.
    Auto,
}

/// Clusters `embeddings` `(embedding, dimension)`, which must be finite and nonzero. Returns one label per
/// embedding; labels are consecutive from 0.
///
/// Every embedding is connected to its `p` nearest ones by cosine similarity, which gives a graph and its
/// normalized Laplacian ([`graph`]). The number of clusters `k` is chosen within `bounds` so that the gap
/// between eigenvalues `k` and `k + 1` (in ascending order) is largest. The normalized rows of the first
/// `k` eigenvectors are clustered with k-means. The signs of the eigenvectors do not matter, because
/// k-means only uses distances.
///
/// Up to 800 embeddings are represented by a dense matrix, in which embeddings as similar as the last
/// neighbor are also neighbors; 12 numbers of neighbors are tried, up to a quarter of all embeddings. More
/// embeddings are represented by lists of the 512 nearest ones, and the Lanczos method computes the first
/// eigenvalues; 32, 64, 128, 256 and 512 neighbors are tried.
///
/// Source: A. Ng, M. Jordan, Y. Weiss, "On spectral clustering: analysis and an algorithm", NIPS 2001;
/// the binary graph and the choice of `p` from T. J. Park et al., "Auto-tuning spectral clustering for
/// speaker diarization using normalized maximum eigengap", IEEE Signal Processing Letters 27, 2020,
/// which uses the unnormalized Laplacian.
pub(super) fn spectral(
    embeddings: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    parameters: &Spectral,
    device: &ComputeDevice<'_>,
) -> Result<Vec<usize>, ClusteringError> {
    let count = embeddings.nrows();
    let points = normalized(embeddings); // (embedding, dimension)
    let limit = parameters.max_embeddings.max(2).max(bounds.min);
    if count <= limit {
        return spectral_of_all(points.view(), bounds, parameters, device);
    }
    let chosen: Vec<usize> = (0..limit).map(|index| index * count / limit).collect();
    let some = points.select(Axis(0), &chosen);
    let found = spectral_of_all(some.view(), bounds, parameters, device)?;
    let means = cluster_means(some.view(), &found, labels::count(&found)); // (cluster, dimension)
    let distances = device.cosine(points.view(), means.mapv(f64::from).view())?; // (embedding, cluster)
    let nearest: Vec<usize> =
        distances.rows().into_iter().map(|row| argmax(row.iter().map(|distance| -distance))).collect();
    Ok(labels::by_first_member(&nearest))
}

fn spectral_of_all(
    points: ArrayView2<'_, f32>,
    bounds: SpeakerBounds,
    parameters: &Spectral,
    device: &ComputeDevice<'_>,
) -> Result<Vec<usize>, ClusteringError> {
    let count = points.nrows();
    if count < 2 || bounds.min >= count {
        return Ok((0..count).collect());
    }
    // A gap lies between two eigenvalues, so there are fewer clusters than points.
    let most = bounds.max.unwrap_or(parameters.max_speakers.max(bounds.min)).min(count - 1);
    let range = (bounds.min, most);
    let graph = Graph::of(points);
    let neighbors = match parameters.neighbors {
        Neighbors::Share(share) => (share * count as f64).round() as usize,
        Neighbors::Count(neighbors) => neighbors,
        Neighbors::Auto => best_neighbors(&graph, range, device)?,
    };
    let neighbors = neighbors.clamp(1, graph.most_neighbors());
    let (spectrum, vectors) = graph.eigenvectors(neighbors, most + 1);
    let (clusters, _) = largest_gap(&spectrum.smallest, range);
    cluster_rows(vectors.slice_axis(Axis(1), Slice::from(..clusters)), &parameters.kmeans, device)
}

/// Clusters points by their values in the eigenvectors `(point, eigenvector)`, into as many clusters as
/// vectors.
fn cluster_rows(
    vectors: ArrayView2<'_, f64>,
    parameters: &KMeans,
    device: &ComputeDevice<'_>,
) -> Result<Vec<usize>, ClusteringError> {
    let mut rows = vectors.to_owned();
    for mut row in rows.rows_mut() {
        let norm = row.dot(&row).sqrt();
        if norm > 0.0 {
            row /= norm;
        }
    }
    Ok(kmeans(rows.view(), rows.ncols(), parameters, device)?.labels)
}

/// The number of neighbors described at [`Neighbors::Auto`]; the smallest in case of ties.
fn best_neighbors(
    graph: &Graph,
    range: (usize, usize),
    device: &ComputeDevice<'_>,
) -> Result<usize, ClusteringError> {
    let candidates = graph.candidates();
    let ratio = |&neighbors: &usize| {
        device.check()?;
        let spectrum = graph.spectrum(neighbors, range.1 + 1);
        let (_, gap) = largest_gap(&spectrum.smallest, range);
        Ok(neighbors as f64 * spectrum.largest / gap.max(f64::MIN_POSITIVE))
    };
    let ratios: Vec<f64> = candidates.par_iter().map(ratio).collect::<Result<_, ClusteringError>>()?;
    Ok(candidates[argmax(ratios.iter().map(|ratio| -ratio))])
}

/// The number of clusters in `range` (inclusive) with the largest eigengap, and that gap.
fn largest_gap(values: &[f64], (least, most): (usize, usize)) -> (usize, f64) {
    let gaps: Vec<f64> = (least..=most).map(|clusters| values[clusters] - values[clusters - 1]).collect();
    let best = argmax(gaps.iter().copied());
    (least + best, gaps[best])
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::{ComputeDevice, KMeans, cluster_rows, largest_gap};
    use crate::clustering::random::Random;

    #[test]
    fn the_largest_gap_is_searched_within_the_range() {
        let values = [0.0, 0.0, 0.0, 1.0, 1.0, 1.5];
        assert_eq!(largest_gap(&values, (1, 5)), (3, 1.0));
        assert_eq!(largest_gap(&values, (4, 5)), (5, 0.5));
        assert_eq!(largest_gap(&values, (4, 4)), (4, 0.0));
    }

    /// The sign of an eigenvector is arbitrary.
    #[test]
    fn signs_of_the_eigenvectors_do_not_matter() {
        let mut random = Random::new(11);
        let mut vectors = Array2::from_shape_simple_fn((200, 4), || random.unit() - 0.5);
        let cluster = |vectors: &Array2<f64>| {
            cluster_rows(vectors.view(), &KMeans::default(), &ComputeDevice::CPU).unwrap()
        };
        let expected = cluster(&vectors);
        for flips in 1..16 {
            for column in (0..4).filter(|column| flips >> column & 1 == 1) {
                vectors.column_mut(column).mapv_inplace(|x| -x);
            }
            assert_eq!(cluster(&vectors), expected, "{flips:b}");
        }
    }
}
