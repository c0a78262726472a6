//! Whose voice is heard, moment by moment.

use diarize_kernels::cdist;
use ndarray::{Array2, ArrayView2};

use crate::frames::SlidingWindow;

/// How much more similar, in cosine, a voice must be to one speaker's than to another's to be `e` times as likely
/// that speaker's. Two thirds of it or twice as much are about as good.
const TEMPERATURE: f64 = 0.15;

/// Embeddings of short windows all along a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowEmbeddings {
    /// When the windows are, in seconds.
    pub windows: SlidingWindow,
    /// `(window, dimension)`, from where one speaks alone: zeros for a window in which nobody does.
    pub embeddings: Array2<f32>,
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
        let distances = cdist::cosine(windows.embeddings.view(), centroids.mapv(f64::from).view()); // (window, cluster)
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
