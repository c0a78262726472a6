//! k-means: a given number of clusters, each around its mean.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    labels::{by_first_member, sizes},
    random::Random,
};

/// Parameters of [`kmeans`]. The defaults are those of pyannote and scikit-learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KMeans {
    /// Runs from different seeds, of which the best counts.
    pub runs: usize,
    /// Rounds of a run, if the clusters go on changing.
    pub max_iterations: usize,
    /// Seed of the random numbers: the same seed gives the same clusters.
    pub seed: u64,
}

impl Default for KMeans {
    fn default() -> Self {
        Self { runs: 3, max_iterations: 300, seed: 42 }
    }
}

/// Clusters of points.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeansFit {
    /// The cluster of each point, numbered from 0 by their first points.
    pub labels: Vec<usize>,
    /// Sum of the squared distances of all points from the mean of their cluster.
    pub inertia: f64,
}

/// Clusters `points` `(point, dimension)` so that the squared distances from the means are small:
/// `clusters` clusters, none of them empty; fewer only where there are fewer different points.
///
/// Each run chooses its first means by greedy k-means++ and then moves them (Lloyd's algorithm) until
/// no point changes its cluster. A cluster that becomes empty takes the point that is farthest from
/// its mean. Points must be finite.
///
/// scikit-learn finds the same clusters where they are well apart; elsewhere its random numbers may
/// lead it to others of about the same inertia, which this does not try to imitate.
///
/// Source: D. Arthur, S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007;
/// S. Lloyd, "Least squares quantization in PCM", IEEE Transactions on Information Theory 28(2), 1982.
///
/// # Panics
/// If `clusters` is 0 while there are points.
pub fn kmeans(points: ArrayView2<'_, f64>, clusters: usize, parameters: &KMeans) -> KMeansFit {
    if points.nrows() == 0 {
        return KMeansFit { labels: Vec::new(), inertia: 0.0 };
    }
    assert!(clusters > 0, "no cluster for {} points", points.nrows());
    let mut seeds = Random::new(parameters.seed);
    let randoms: Vec<Random> = (0..parameters.runs.max(1)).map(|_| seeds.split()).collect();
    let run = |mut random: Random| {
        let means = spread_means(points, clusters, &mut random);
        lloyd(points, means, parameters.max_iterations)
    };
    let fits: Vec<KMeansFit> = randoms.into_par_iter().map(run).collect();
    let best = fits.into_iter().reduce(|best, fit| if fit.inertia < best.inertia { fit } else { best });
    let KMeansFit { labels, inertia } = best.expect("there is at least one run");
    KMeansFit { labels: by_first_member(&labels), inertia }
}

/// Greedy k-means++: each further mean is one of a few points drawn with the squares of their
/// distances from the means so far, the one that leaves the smallest sum of squares.
/// `(cluster, dimension)`.
fn spread_means(points: ArrayView2<'_, f64>, clusters: usize, random: &mut Random) -> Array2<f64> {
    let candidates = 2 + (clusters as f64).ln() as usize;
    let first = (random.unit() * points.nrows() as f64) as usize;
    let mut chosen = vec![first];
    let mut nearest = squared_distances(points, points.row(first)); // (point,)
    while chosen.len() < clusters {
        let total = nearest.sum();
        if total == 0.0 {
            break; // every point is a mean
        }
        let drawn = (0..candidates).map(|_| {
            let point = draw(nearest.view(), random.unit() * total);
            let mut distances = squared_distances(points, points.row(point));
            distances.zip_mut_with(&nearest, |distance, &before| *distance = distance.min(before));
            (point, distances)
        });
        let best = drawn.reduce(|best, other| if other.1.sum() < best.1.sum() { other } else { best });
        let (point, distances) = best.expect("there are at least two candidates");
        chosen.push(point);
        nearest = distances;
    }
    points.select(Axis(0), &chosen)
}

/// The first index at which the running sum of `weights` exceeds `target`; never one of weight 0.
fn draw(weights: ArrayView1<'_, f64>, target: f64) -> usize {
    let mut sum = 0.0;
    let mut last = 0;
    for (index, &weight) in weights.iter().enumerate().filter(|&(_, &weight)| weight > 0.0) {
        sum += weight;
        last = index;
        if sum > target {
            break;
        }
    }
    last
}

fn squared_distances(points: ArrayView2<'_, f64>, to: ArrayView1<'_, f64>) -> Array1<f64> {
    points.rows().into_iter().map(|point| squared_distance(point, to)).collect()
}

fn squared_distance(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Moves `means` `(cluster, dimension)` until no point changes its cluster.
fn lloyd(points: ArrayView2<'_, f64>, mut means: Array2<f64>, max_iterations: usize) -> KMeansFit {
    let clusters = means.nrows();
    let mut labels = Vec::new();
    for _ in 0..max_iterations.max(1) {
        let mut next = nearest_means(points, means.view());
        fill_empty(points, means.view(), &mut next);
        if next == labels {
            break;
        }
        labels = next;
        means = means_of(points, &labels, clusters);
    }
    let members = points.rows().into_iter().zip(&labels);
    let inertia = members.map(|(point, &label)| squared_distance(point, means.row(label))).sum();
    KMeansFit { labels, inertia }
}

/// The nearest mean of each point, the first of equal ones. `|x - m|²` is compared without `|x|²`.
fn nearest_means(points: ArrayView2<'_, f64>, means: ArrayView2<'_, f64>) -> Vec<usize> {
    let offsets: Vec<f64> = means.rows().into_iter().map(|mean| 0.5 * mean.dot(&mean)).collect();
    let products = points.dot(&means.t()); // (point, cluster)
    let closeness = |products: ArrayView1<'_, f64>| {
        super::argmax(products.iter().zip(&offsets).map(|(product, offset)| product - offset))
    };
    products.rows().into_iter().map(closeness).collect()
}

/// Gives each empty cluster the point farthest from its mean, of those in clusters with others.
fn fill_empty(points: ArrayView2<'_, f64>, means: ArrayView2<'_, f64>, labels: &mut [usize]) {
    let mut sizes = sizes(labels, means.nrows());
    for empty in 0..means.nrows() {
        if sizes[empty] > 0 {
            continue;
        }
        let distance = |point: usize| match sizes[labels[point]] {
            1 => -1.0,
            _ => squared_distance(points.row(point), means.row(labels[point])),
        };
        let farthest = super::argmax((0..labels.len()).map(distance));
        sizes[labels[farthest]] -= 1;
        sizes[empty] = 1;
        labels[farthest] = empty;
    }
}

/// The mean of each cluster, none of which is empty: `(cluster, dimension)`.
fn means_of(points: ArrayView2<'_, f64>, labels: &[usize], clusters: usize) -> Array2<f64> {
    let mut means = Array2::zeros((clusters, points.ncols()));
    for (point, &label) in points.rows().into_iter().zip(labels) {
        let mut mean = means.row_mut(label);
        mean += &point;
    }
    for (mut mean, size) in means.rows_mut().into_iter().zip(sizes(labels, clusters)) {
        mean /= size as f64;
    }
    means
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::{fill_empty, lloyd};

    #[test]
    fn an_empty_cluster_takes_the_farthest_point() {
        let points = array![[0.0], [1.0], [5.0], [9.0]];
        let mut labels = vec![0, 0, 0, 1];
        fill_empty(points.view(), array![[0.0], [9.0], [100.0]].view(), &mut labels);
        assert_eq!(labels, [0, 0, 2, 1]);
    }

    #[test]
    fn means_that_are_all_wrong_still_give_every_cluster() {
        let points = array![[0.0], [0.1], [5.0], [5.1], [9.0]];
        let fit = lloyd(points.view(), array![[100.0], [101.0], [102.0]], 300);
        let mut seen = fit.labels;
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [0, 1, 2]);
    }
}
