//! k-means computed directly from its definition, in f64.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use super::{Fit, KMeans, candidates};

/// Returns the fit of each run.
pub fn kmeans(kmeans: &KMeans, points: ArrayView2<'_, f64>) -> Vec<Fit> {
    let run = |draws: &Vec<f64>| {
        let means = seed_means(points, kmeans.clusters, draws);
        lloyd(points, means, kmeans.max_iterations, nearest_means)
    };
    kmeans.draws.iter().map(run).collect()
}

/// Chooses the initial means `(cluster, dimension)` by greedy k-means++. Each mean after the first is chosen
/// from a few candidates, drawn with probability proportional to the squared distance to the nearest mean so
/// far. The candidate with the smallest remaining sum of squares wins.
pub(super) fn seed_means(points: ArrayView2<'_, f64>, clusters: usize, draws: &[f64]) -> Array2<f64> {
    let first = super::first(draws[0], points.nrows());
    let mut chosen = vec![first];
    let mut nearest = squared_distances(points, points.row(first)); // (point,)
    for draws in draws[1..].chunks_exact(candidates(clusters)) {
        let total = nearest.sum();
        if total == 0.0 {
            break; // every point coincides with a mean
        }
        let drawn = draws.iter().map(|unit| {
            let point = draw(nearest.view(), unit * total);
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

/// The first index at which the running sum of `weights` exceeds `target`. Never an index of weight 0.
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

/// Lloyd's algorithm: moves `means` `(cluster, dimension)` until no point changes its cluster. `nearest` returns
/// the nearest mean of each point.
pub fn lloyd(
    points: ArrayView2<'_, f64>,
    mut means: Array2<f64>,
    max_iterations: usize,
    nearest: impl Fn(ArrayView2<'_, f64>, ArrayView2<'_, f64>) -> Vec<usize>,
) -> Fit {
    let clusters = means.nrows();
    let mut labels = Vec::new();
    for _ in 0..max_iterations.max(1) {
        let mut next = nearest(points, means.view());
        fill_empty(points, means.view(), &mut next);
        if next == labels {
            break;
        }
        labels = next;
        means = means_of(points, &labels, clusters);
    }
    let members = points.rows().into_iter().zip(&labels);
    let inertia = members.map(|(point, &label)| squared_distance(point, means.row(label))).sum();
    Fit { labels, inertia }
}

/// The nearest mean of each point; the first one in case of ties.
pub fn nearest_means(points: ArrayView2<'_, f64>, means: ArrayView2<'_, f64>) -> Vec<usize> {
    let nearest = |point| {
        let distances = means.rows().into_iter().map(|mean| squared_distance(point, mean));
        first_largest(distances.map(|distance| -distance))
    };
    points.rows().into_iter().map(nearest).collect()
}

/// Gives each empty cluster the point that is farthest from its mean, among clusters of at least two points.
pub fn fill_empty(points: ArrayView2<'_, f64>, means: ArrayView2<'_, f64>, labels: &mut [usize]) {
    let mut sizes = sizes(labels, means.nrows());
    for empty in 0..means.nrows() {
        if sizes[empty] > 0 {
            continue;
        }
        let distance = |point: usize| match sizes[labels[point]] {
            1 => -1.0,
            _ => squared_distance(points.row(point), means.row(labels[point])),
        };
        let farthest = first_largest((0..labels.len()).map(distance));
        sizes[labels[farthest]] -= 1;
        sizes[empty] = 1;
        labels[farthest] = empty;
    }
}

/// The mean of each cluster, `(cluster, dimension)`. No cluster may be empty.
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

fn sizes(labels: &[usize], clusters: usize) -> Vec<usize> {
    let mut sizes = vec![0; clusters];
    labels.iter().for_each(|&label| sizes[label] += 1);
    sizes
}

/// The index of the largest value; the first one in case of ties.
pub(super) fn first_largest(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, value) in values.enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}
