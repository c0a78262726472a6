//! k-means: a given number of clusters, each around its mean.

use diarize_kernels::kmeans::{self as kernel, Fit};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::{ClusteringError, ComputeDevice, labels::by_first_member, random::Random};

/// Parameters of k-means. The defaults are those of pyannote and scikit-learn.
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
/// The best of some runs of [`diarize_kernels::kmeans`], on the CPU in f64. Points must be finite.
///
/// scikit-learn finds the same clusters where they are well apart; elsewhere its random numbers may
/// lead it to others of about the same inertia, which this does not try to imitate.
///
/// # Errors
/// A failure of the device.
///
/// # Panics
/// If `clusters` is 0 while there are points.
pub fn kmeans(
    points: ArrayView2<'_, f64>,
    clusters: usize,
    parameters: &KMeans,
    place: &ComputeDevice<'_>,
) -> Result<KMeansFit, ClusteringError> {
    if points.nrows() == 0 {
        return Ok(KMeansFit { labels: Vec::new(), inertia: 0.0 });
    }
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
    let fits = place.kmeans(&runs, points)?.into_iter();
    let best = fits.reduce(|best, fit| if fit.inertia < best.inertia { fit } else { best });
    let Fit { labels, inertia } = best.expect("there is at least one run");
    Ok(KMeansFit { labels: by_first_member(&labels), inertia })
}
