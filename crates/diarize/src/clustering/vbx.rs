//! Variational Bayes clustering of PLDA features.

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis, Zip, linalg::general_mat_mul};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{ClusteringError, ComputeDevice, agglomerative::MAX_EMBEDDINGS, kmeans::KMeans, plda::Features};

/// Speakers whose share of the embeddings is not above this are removed.
const MIN_SHARE: f64 = 1e-7;
/// Confidence in the initial labels: log odds relative to each other cluster.
const INITIAL_LOG_ODDS: f64 = 7.0;
/// Keeps the logarithm finite for a share of 0.
const SHARE_FLOOR: f64 = 1e-8;
/// Iterations stop when the bound increases by less than this.
const CONVERGED: f64 = 1e-4;

/// Embeddings of a block. Blocks run in parallel; their size does not affect the result.
const BLOCK: usize = 256;

/// Parameters of VBx. The defaults are those of speaker-diarization-community-1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vbx {
    /// Where the dendrogram for the initial labels is cut: Euclidean distance of normalized embeddings.
    /// Lower than for agglomerative clustering alone, since VBx merges clusters but never splits them.
    pub threshold: f64,
    /// `Fa`: weight of each embedding. Below 1 because neighboring embeddings are not independent.
    pub fa: f64,
    /// `Fb`: strength of the prior on speakers; higher values give fewer speakers.
    pub fb: f64,
    /// `Fb` is `fb · n^fb_exponent` for `n` embeddings; with 0 it is `fb` itself. With 0.5, the prior
    /// scales like random fluctuations: whatever neighboring embeddings share besides the speaker is no
    /// evidence for another speaker, but accumulates like a random walk, with the square root of their
    /// number. So one setting is suitable both for recordings of half a minute, where a higher constant
    /// would merge speakers, and of hours, where a lower one would split them.
    pub fb_exponent: f64,
    /// After the iterations, speakers whose mean embeddings are nearer to each other than this are merged: Euclidean
    /// distance of the means' directions, corrected for their noise. With 0, none are merged, as in pyannote. VBx is
    /// too sure that clusters are different speakers if its PLDA model does not know what varies within them. So a low
    /// `threshold` with this distance is more robust than a higher `threshold` alone.
    pub merge_distance: f64,
    /// Number of features of the PLDA model to use, most discriminative first.
    pub lda_dimension: usize,
    /// Maximum number of iterations.
    pub max_iterations: usize,
    /// Maximum number of embeddings for an exact dendrogram; see [`super::Agglomerative::max_embeddings`].
    /// It only affects the initial labels; VBx itself uses all embeddings.
    pub max_embeddings: usize,
    /// Parameters of k-means, used if the bounds require a different number of speakers.
    pub kmeans: KMeans,
}

impl Default for Vbx {
    fn default() -> Self {
        Self {
            threshold: 0.6,
            fa: 0.07,
            fb: 0.8,
            fb_exponent: 0.0,
            merge_distance: 0.0,
            lda_dimension: 128,
            max_iterations: 20,
            max_embeddings: MAX_EMBEDDINGS,
            kmeans: KMeans::default(),
        }
    }
}

/// The result of the iterations.
#[derive(Clone, Debug, PartialEq)]
pub struct VbxPosteriors {
    /// `(embedding, speaker)`: probability that the embedding belongs to the speaker.
    pub responsibilities: Array2<f64>,
    /// `(speaker,)`: fraction of the embeddings.
    pub shares: Array1<f64>,
    /// Evidence lower bound after each iteration.
    pub bounds: Vec<f64>,
}

impl VbxPosteriors {
    /// Indices of the speakers that were not removed.
    pub fn kept(&self) -> Vec<usize> {
        (0..self.shares.len()).filter(|&speaker| self.shares[speaker] > MIN_SHARE).collect()
    }
}

/// Refines the initial `labels`, one per embedding and starting from 0, by variational Bayes.
///
/// Speaker `k` is represented by a point `y_k ~ N(0, I)` in the feature space, and an embedding `x_i` of
/// the speaker is distributed as `N(√Φ ∘ y_k, I)`, with the variances `Φ` of [`Features::between`].
/// Starting with responsibilities `q` close to `labels` and equal shares `π`, each iteration updates the
/// posterior `N(α_k, 1/L_k)` of every speaker's point, the responsibilities and the shares:
///
/// - `ρ_i = √Φ ∘ x_i`, `G_i = -½ (|x_i|² + D ln 2π)`, `N_k = Σ_i q_ik`
/// - `1/L_k = 1 / (1 + Fa/Fb · N_k · Φ)`, `α_k = Fa/Fb · 1/L_k ∘ Σ_i q_ik ρ_i`
/// - `ln p_ik = Fa (ρ_i · α_k - ½ (1/L_k + α_k²) · Φ + G_i)`
/// - `q_ik ∝ π_k p_ik` (normalized over `k`), `π_k = N_k / n`
///
/// until the evidence lower bound `Σ_i ln Σ_k π_k p_ik + Fb/2 · Σ_kd (ln 1/L - 1/L - α² + 1)` stops
/// increasing. `Fb` is `fb · n^fb_exponent`. Redundant speakers lose their share, which determines the
/// number of speakers. This is the model without a Markov chain over time.
///
/// Source: F. Landini, J. Profant, M. Diez, L. Burget, "Bayesian HMM clustering of x-vector sequences
/// (VBx) in speaker diarization", Computer Speech & Language 71, 2022; `cluster_vbx` in
/// `pyannote/audio/utils/vbx.py`.
///
/// # Panics
/// If the number of labels differs from the number of features, or there are none.
pub fn vbx(
    features: Features,
    labels: &[usize],
    parameters: &Vbx,
    device: &ComputeDevice<'_>,
) -> Result<VbxPosteriors, ClusteringError> {
    let Features { values, between } = features; // (embedding, feature), (feature,)
    let (count, dimension) = values.dim();
    assert_eq!(labels.len(), count, "one label for each embedding");
    let speakers = labels.iter().max().expect("there is a label") + 1;
    let fb = parameters.fb * (count as f64).powf(parameters.fb_exponent);
    let ratio = parameters.fa / fb;

    let constant = dimension as f64 * std::f64::consts::TAU.ln();
    let log_norms: Vec<f64> =
        values.rows().into_iter().map(|row| -0.5 * (row.dot(&row) + constant)).collect();
    let scaled = values * between.mapv(f64::sqrt); // (embedding, feature)

    let mut responsibilities = initial(labels, speakers); // (embedding, speaker)
    let mut shares = Array1::from_elem(speakers, 1.0 / speakers as f64); // (speaker,)
    let mut bounds: Vec<f64> = Vec::new();
    for _ in 0..parameters.max_iterations {
        device.check()?;
        let sizes = responsibilities.sum_axis(Axis(0)).insert_axis(Axis(1)); // (speaker, 1)
        let variances = (1.0 + ratio * &sizes * &between).mapv_into(f64::recip); // (speaker, feature)
        let mut sums = Array2::zeros((speakers, dimension)); // (speaker, feature)
        add_products(&responsibilities.view(), &scaled, &mut sums);
        let means = ratio * &variances * &sums; // (speaker, feature)
        let squares = &means * &means; // (speaker, feature)

        let expected = -0.5 * (&variances + &squares).dot(&between); // (speaker,)
        let log_shares = shares.mapv(|share| (share + SHARE_FLOOR).ln()); // (speaker,)
        let mut totals = log_norms.clone(); // (embedding,)
        let blocks = responsibilities.axis_chunks_iter_mut(Axis(0), BLOCK);
        let inputs = scaled.axis_chunks_iter(Axis(0), BLOCK);
        let blocks: Vec<_> = blocks.zip(inputs).zip(totals.chunks_mut(BLOCK)).collect();
        blocks.into_par_iter().for_each(|((mut block, scaled), totals)| {
            general_mat_mul(1.0, &scaled, &means.t(), 0.0, &mut block); // (embedding, speaker)
            for (mut row, total) in block.rows_mut().into_iter().zip(totals) {
                let log_norm = *total;
                Zip::from(&mut row).and(&expected).and(&log_shares).for_each(|value, expected, log_share| {
                    *value = parameters.fa * (*value + expected + log_norm) + log_share;
                });
                *total = log_sum_exp(row.view());
                row.mapv_inplace(|value| (value - *total).exp());
            }
        });
        let evidence: f64 = totals.iter().sum();
        shares = responsibilities.sum_axis(Axis(0));
        shares /= shares.sum();

        let divergence: f64 = Zip::from(&variances)
            .and(&squares)
            .fold(0.0, |sum, variance, square| sum + (variance.ln() - variance - square + 1.0));
        let bound = evidence + 0.5 * fb * divergence;
        let converged = bounds.last().is_some_and(|before| bound - before < CONVERGED);
        bounds.push(bound);
        if converged {
            break;
        }
    }
    Ok(VbxPosteriors { responsibilities, shares, bounds })
}

/// Adds `weights` `(row, column)`, transposed, times `rows` `(row, feature)` to `sums` `(column, feature)`. Blocks of features run
/// in parallel, which does not change the order of any sum.
pub(super) fn add_products(weights: &ArrayView2<'_, f64>, rows: &Array2<f64>, sums: &mut Array2<f64>) {
    const FEATURES: usize = 16;
    let blocks = sums.axis_chunks_iter_mut(Axis(1), FEATURES);
    let blocks: Vec<_> = blocks.zip(rows.axis_chunks_iter(Axis(1), FEATURES)).collect();
    blocks.into_par_iter().for_each(|(mut sums, rows)| {
        general_mat_mul(1.0, &weights.t(), &rows, 1.0, &mut sums);
    });
}

/// Responsibilities close to `labels`: `(embedding, speaker)`.
fn initial(labels: &[usize], speakers: usize) -> Array2<f64> {
    let total = INITIAL_LOG_ODDS.exp() + (speakers - 1) as f64;
    Array2::from_shape_fn((labels.len(), speakers), |(embedding, speaker)| {
        let odds = if labels[embedding] == speaker { INITIAL_LOG_ODDS.exp() } else { 1.0 };
        odds / total
    })
}

/// `ln Σ exp(value)` without overflow.
fn log_sum_exp(values: ArrayView1<'_, f64>) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use candle_core::Device;
    use ndarray::{Array1, Array2};

    use super::{ClusteringError, ComputeDevice, Features, Vbx, vbx};

    #[test]
    fn iterations_stop_when_told_to() {
        let values = Array2::from_shape_fn((12, 2), |(row, axis)| ((row * 5 + axis * 3) % 7) as f64 - 3.0);
        let features = Features { values, between: Array1::from(vec![2.0, 1.0]) };
        let labels: Vec<usize> = (0..12).map(|row| row % 3).collect();
        let calls = AtomicUsize::new(0);
        let until = |most: usize| {
            calls.store(0, Ordering::Relaxed);
            let may_continue = || calls.fetch_add(1, Ordering::Relaxed) < most;
            let device = ComputeDevice::new(&Device::Cpu, &may_continue);
            vbx(features.clone(), &labels, &Vbx::default(), &device)
        };
        let iterations = until(usize::MAX).unwrap().bounds.len();
        assert!(iterations > 1);
        assert_eq!(calls.load(Ordering::Relaxed), iterations);
        assert_eq!(until(1).unwrap_err(), ClusteringError::Stopped);
    }
}
