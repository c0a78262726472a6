//! Comparing the voice at each time with the clusters.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis};

use super::Vectors;
use crate::{
    clustering::{ClusteringError, ComputeDevice},
    math::SlidingWindow,
};

/// Number of windows compared with the centroids at once, which bounds the memory. On the CPU, it does not affect
/// the result.
const BLOCK: usize = 8192;

/// Embeddings of short windows along a recording, from the frames in which one speaker speaks alone.
///
/// Only their directions are stored, since voices are compared by cosine similarity, and rounded to f16,
/// since there are three windows per second.
#[derive(Clone, Debug, PartialEq)]
pub struct WindowEmbeddings {
    /// Times of the windows, in seconds.
    pub windows: SlidingWindow,
    directions: Vectors,
}

impl WindowEmbeddings {
    /// An empty list of windows.
    pub fn new(windows: SlidingWindow, dimension: usize) -> Self {
        Self { windows, directions: Vectors::rounded(dimension) }
    }

    /// Appends a window's embedding `(dimension,)`; `None` if nobody speaks alone in it.
    pub fn push(&mut self, embedding: Option<&[f32]>) {
        let length = |embedding: &[f32]| embedding.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        match embedding.map(|embedding| (embedding, length(embedding))) {
            Some((embedding, length)) if length > 0.0 => {
                self.directions.push(embedding.iter().map(|&x| f64::from(x) / length));
            }
            _ => self.directions.push_none(),
        }
    }

    /// Number of windows.
    pub fn len(&self) -> usize {
        self.directions.len()
    }

    /// Whether there are no windows.
    #[cfg(feature = "unstable")]
    pub fn is_empty(&self) -> bool {
        self.directions.is_empty()
    }

    /// All windows, `(window, dimension)`: rows of length 1, within the rounding of f16; zeros if nobody
    /// speaks alone.
    #[cfg(feature = "unstable")]
    pub fn directions(&self) -> Array2<f32> {
        self.block(0, self.len())
    }

    fn block(&self, first: usize, count: usize) -> Array2<f32> {
        let mut rows = Array2::zeros((count, self.directions.dimension()));
        for (window, row) in (first..).zip(rows.axis_iter_mut(Axis(0))) {
            self.directions.copy(window, row);
        }
        rows
    }
}

/// Each cluster's share of the voice in each window.
///
/// The share of cluster `k` in a window is `exp(s_k / T) / Σ_j exp(s_j / T)`, where `s_k` is the cosine
/// similarity between the window's embedding and the cluster's centroid, and `T` is the temperature. If
/// nobody speaks alone, all shares are 0.
#[derive(Clone, Debug, PartialEq)]
pub struct VoiceShares {
    windows: SlidingWindow,
    /// `(window, cluster)`.
    shares: Array2<f32>,
}

impl VoiceShares {
    /// Compares the windows with `centroids` `(cluster, dimension)`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(
        windows: &WindowEmbeddings,
        centroids: ArrayView2<'_, f32>,
        temperature: f64,
        device: &ComputeDevice<'_>,
    ) -> Result<Self, ClusteringError> {
        let centroids = centroids.mapv(f64::from);
        let mut shares = Array2::zeros((windows.len(), centroids.nrows())); // (window, cluster)
        for (index, block) in shares.axis_chunks_iter_mut(Axis(0), BLOCK).enumerate() {
            let mut block: ArrayViewMut2<'_, f32> = block;
            let rows = windows.block(index * BLOCK, block.nrows()); // (window, dimension)
            let distances = device.cosine(rows.view(), centroids.view())?; // (window, cluster)
            for (mut shares, distances) in block.rows_mut().into_iter().zip(distances.rows()) {
                shares.assign(&softmax(distances.mapv(|distance| -distance / temperature)));
            }
        }
        Ok(Self { windows: windows.windows, shares })
    }

    /// The clusters' shares in the window nearest to `time`, in seconds: `(cluster,)`; empty if there are no windows.
    pub(super) fn at(&self, time: f64) -> &[f32] {
        let Some(last) = self.shares.nrows().checked_sub(1) else { return &[] };
        let window = self.windows.closest_frame(time).min(last);
        self.shares.row(window).to_slice().expect("rows are contiguous")
    }
}

/// `exp(x) / Σ exp(x)`; zeros if a value is not finite, because the window's embedding or a centroid is zero.
fn softmax(mut values: Array1<f64>) -> Array1<f32> {
    if values.iter().any(|value| !value.is_finite()) {
        return Array1::zeros(values.len());
    }
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    values.mapv_inplace(|value| (value - largest).exp());
    let sum = values.sum();
    values.mapv(|value| (value / sum) as f32)
}
