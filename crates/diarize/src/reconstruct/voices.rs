//! Whose voice is heard, moment by moment.

use diarize_kernels::cdist;
use half::f16;
use ndarray::{Array2, ArrayView2};

use crate::frames::SlidingWindow;

/// How much more similar, in cosine, a voice must be to one speaker's than to another's to be `e` times as likely
/// that speaker's. Two thirds of it or twice as much are about as good.
const TEMPERATURE: f64 = 0.15;

/// Embeddings of short windows all along a recording, from where one speaks alone.
///
/// Only their directions, which is all that voices are compared by, and rounded to f16: three windows a second are
/// what grows most with a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowEmbeddings {
    /// When the windows are, in seconds.
    pub windows: SlidingWindow,
    /// `(window, dimension)`.
    directions: Array2<f16>,
}

impl WindowEmbeddings {
    /// Of `windows`, `count` of them, none of which is heard yet.
    pub fn new(windows: SlidingWindow, count: usize, dimension: usize) -> Self {
        Self { windows, directions: Array2::from_elem((count, dimension), f16::ZERO) }
    }

    /// Keeps the direction of a window's embedding, `dimension` values.
    ///
    /// # Panics
    /// If there is no such window or `embedding` is of another dimension.
    pub fn set(&mut self, window: usize, embedding: &[f32]) {
        let length = embedding.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        if length == 0.0 {
            return;
        }
        let mut row = self.directions.row_mut(window);
        assert_eq!(row.len(), embedding.len(), "dimension of an embedding");
        row.iter_mut().zip(embedding).for_each(|(to, &x)| *to = f16::from_f64(f64::from(x) / length));
    }

    /// `(window, dimension)`: rows of length 1, within the rounding of f16, and of zeros where nobody speaks alone.
    pub fn directions(&self) -> Array2<f32> {
        self.directions.mapv(f16::to_f32)
    }
}

/// To what share the voice in each window is each cluster's.
///
/// The share of cluster `k` in a window is `exp(s_k / T) / Σ_j exp(s_j / T)`, where `s` are the cosine
/// similarities of the window's embedding and the clusters' centroids, and `T` is 0.15. Where nobody speaks alone
/// all are 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Voices {
    windows: SlidingWindow,
    /// `(window, cluster)`.
    shares: Array2<f32>,
}

impl Voices {
    /// Compares the windows with `centroids` `(cluster, dimension)`.
    pub fn new(windows: &WindowEmbeddings, centroids: ArrayView2<'_, f32>) -> Self {
        let distances = cdist::cosine(windows.directions().view(), centroids.mapv(f64::from).view()); // (window, cluster)
        let mut shares = distances.mapv(|distance| -distance / TEMPERATURE);
        for mut row in shares.rows_mut() {
            // No direction: the embedding or a centroid is zero.
            if row.iter().any(|share| !share.is_finite()) {
                row.fill(0.0);
                continue;
            }
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.mapv_inplace(|share| (share - largest).exp());
            let sum = row.sum();
            row /= sum;
        }
        Self { windows: windows.windows, shares: shares.mapv(|share| share as f32) }
    }

    /// The shares of the clusters in the window nearest to a `time` in seconds.
    pub(super) fn at(&self, time: f64) -> &[f32] {
        let window = self.windows.closest_frame(time).min(self.shares.nrows().saturating_sub(1));
        self.shares.row(window).to_slice().expect("rows are contiguous")
    }
}
