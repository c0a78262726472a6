//! k-means clustering with a given number of clusters.

use diarize_kernels::kmeans::{self as kernel, Fit};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::{ClusteringError, ComputeDevice, labels::by_first_member, random::Random};

/// Parameters of k-means. The defaults are those of pyannote (and scikit-learn).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KMeans {
    /// Number of runs with different random initializations; the best one is returned.
    pub runs: usize,
    /// Maximum number of iterations per run.
    pub max_iterations: usize,
    /// Seed of the random numbers. The same seed gives the same clusters.
    pub seed: u64,
}

impl Default for KMeans {
    fn default() -> Self {
        Self { runs: 3, max_iterations: 300, seed: 42 }
    }
}

/// The clusters of points.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeansFit {
    /// `(point,)`: label of each point's cluster, numbered from 0 in the order of their first points.
    pub labels: Vec<usize>,
    /// Sum of the squared distances of all points to the mean of their cluster.
    pub inertia: f64,
}

/// Clusters `points` `(point, dimension)` into `clusters` non-empty clusters, minimizing the squared
/// distances to the means. There are fewer clusters only if there are fewer distinct points.
///
/// Returns the best of several runs of [`diarize_kernels::kmeans`], on the CPU in f64 or on a GPU in f32.
/// Points must be finite.
///
/// scikit-learn finds the same clusters if they are well separated. Otherwise, its random numbers may lead
/// to other clusters with about the same inertia; this function does not try to reproduce them.
///
/// # Errors
/// If the device fails.
///
/// # Panics
/// If `clusters` is 0 although there are points.
pub fn kmeans(
    points: ArrayView2<'_, f64>,
    clusters: usize,
    parameters: &KMeans,
    device: &ComputeDevice<'_>,
) -> Result<KMeansFit, ClusteringError> {
    if points.nrows() == 0 {
        return Ok(KMeansFit { labels: Vec::new(), inertia: 0.0 });
    }
    let clusters = clusters.min(points.nrows());
    let mut seeds = Random::new(parameters.seed);
    let mut numbers = || {
        let mut random = seeds.split();
        (0..kernel::draws(clusters)).map(|_| random.unit()).collect()
    };
    let runs = kernel::KMeans {
        clusters,
        max_iterations: parameters.max_iterations,
        draws: (0..parameters.runs.max(1)).map(|_| numbers()).collect(),
    };
    let fits = device.kmeans(&runs, points)?.into_iter();
    let best = fits.reduce(|best, fit| if fit.inertia < best.inertia { fit } else { best });
    let Fit { labels, inertia } = best.expect("there is at least one run");
    Ok(KMeansFit { labels: by_first_member(&labels), inertia })
}
