//! Variational Bayes clustering of PLDA features.

use ndarray::{Array1, Array2, ArrayView1, Axis, Zip};
use serde::{Deserialize, Serialize};

use super::{agglomerative::MAX_EMBEDDINGS, kmeans::KMeans, plda::Features};

/// Speakers with a smaller share of the embeddings are gone.
const MIN_SHARE: f64 = 1e-7;
/// How sure the first labels are: the logarithm of the odds against each other cluster.
const INITIAL_LOG_ODDS: f64 = 7.0;
/// Keeps the logarithm of a share of 0 finite.
const SHARE_FLOOR: f64 = 1e-8;
/// Iterations end when the bound rises by less.
const CONVERGED: f64 = 1e-4;

/// Parameters of VBx. The defaults are those of speaker-diarization-community-1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vbx {
    /// Where the dendrogram that gives the first labels is cut: Euclidean distance of normalized
    /// embeddings. Lower than for agglomerative clustering alone, since VBx joins clusters, but never
    /// splits one.
    pub threshold: f64,
    /// `Fa`: how much an embedding counts. Below 1 because neighboring embeddings are not independent.
    pub fa: f64,
    /// `Fb`: how strongly speakers are held to the prior; more of it gives fewer speakers.
    pub fb: f64,
    /// `Fb` is `fb · n^fb_exponent` for `n` embeddings, so 0 for `fb` itself. With 0.5 the prior keeps step
    /// with chance: what neighboring embeddings have in common beside the speaker is no evidence for another
    /// one, but adds up like a random walk, as the root of their number. So one setting serves recordings of
    /// half a minute, where a larger constant merges speakers, and of hours, where a smaller one splits them.
    pub fb_exponent: f64,
    /// Features of the PLDA model that are used, best first.
    pub lda_dimension: usize,
    /// At most this many iterations.
    pub max_iterations: usize,
    /// For the first labels groups of more embeddings than this are merged, as for
    /// [`super::Agglomerative::max_embeddings`]. VBx itself sees them all.
    pub max_embeddings: usize,
    /// What makes another number of speakers where one is asked for.
    pub kmeans: KMeans,
}

impl Default for Vbx {
    fn default() -> Self {
        Self {
            threshold: 0.6,
            fa: 0.07,
            fb: 0.8,
            fb_exponent: 0.0,
            lda_dimension: 128,
            max_iterations: 20,
            max_embeddings: MAX_EMBEDDINGS,
            kmeans: KMeans::default(),
        }
    }
}

/// What the iterations end with.
#[derive(Clone, Debug, PartialEq)]
pub struct VbxPosteriors {
    /// `(embedding, speaker)`: how probable it is that the embedding is the speaker's.
    pub responsibilities: Array2<f64>,
    /// `(speaker,)`: share of the embeddings.
    pub shares: Array1<f64>,
    /// Evidence lower bound after each iteration.
    pub bounds: Vec<f64>,
}

impl VbxPosteriors {
    /// The speakers that have embeddings, by their columns.
    pub fn kept(&self) -> Vec<usize> {
        (0..self.shares.len()).filter(|&speaker| self.shares[speaker] > MIN_SHARE).collect()
    }
}

/// Refines `labels`, the cluster of each embedding from 0, by variational Bayes.
///
/// Speaker `k` has a point `y_k ~ N(0, I)` in the space of the features, and an embedding `x_i` of
/// that speaker is `N(√Φ ∘ y_k, I)`, with the variances `Φ` of [`Features::between`]. Starting from
/// responsibilities `q` that are nearly `labels` and equal shares `π`, each iteration updates the
/// posterior `N(α_k, 1/L_k)` of every speaker's point, the responsibilities and the shares:
///
/// - `ρ_i = √Φ ∘ x_i`, `G_i = -½ (|x_i|² + D ln 2π)`, `N_k = Σ_i q_ik`
/// - `1/L_k = 1 / (1 + Fa/Fb · N_k · Φ)`, `α_k = Fa/Fb · 1/L_k ∘ Σ_i q_ik ρ_i`
/// - `ln p_ik = Fa (ρ_i · α_k - ½ (1/L_k + α_k²) · Φ + G_i)`
/// - `q_ik ∝ π_k p_ik` (of sum 1 over `k`), `π_k = N_k / n`
///
/// until the evidence lower bound `Σ_i ln Σ_k π_k p_ik + Fb/2 · Σ_kd (ln 1/L - 1/L - α² + 1)` no
/// longer rises. `Fb` is `fb · n^fb_exponent`. Speakers that others explain as well lose their share:
/// that decides how many there are. This is the model without a Markov chain over time.
///
/// Source: F. Landini, J. Profant, M. Diez, L. Burget, "Bayesian HMM clustering of x-vector sequences
/// (VBx) in speaker diarization", Computer Speech & Language 71, 2022; `cluster_vbx` in
/// `pyannote/audio/utils/vbx.py`.
///
/// # Panics
/// If there are not as many labels as features, or no label.
pub fn vbx(features: &Features, labels: &[usize], parameters: &Vbx) -> VbxPosteriors {
    let (count, dimension) = features.values.dim();
    assert_eq!(labels.len(), count, "one label for each embedding");
    let speakers = labels.iter().max().expect("there is a label") + 1;
    let fb = parameters.fb * (count as f64).powf(parameters.fb_exponent);
    let ratio = parameters.fa / fb;
    let between = &features.between; // (feature,)

    let constant = dimension as f64 * std::f64::consts::TAU.ln();
    let log_norms: Vec<f64> =
        features.values.rows().into_iter().map(|row| -0.5 * (row.dot(&row) + constant)).collect();
    let scaled = &features.values * &between.mapv(f64::sqrt); // (embedding, feature)

    let mut responsibilities = initial(labels, speakers); // (embedding, speaker)
    let mut shares = Array1::from_elem(speakers, 1.0 / speakers as f64); // (speaker,)
    let mut bounds: Vec<f64> = Vec::new();
    for _ in 0..parameters.max_iterations {
        let sizes = responsibilities.sum_axis(Axis(0)).insert_axis(Axis(1)); // (speaker, 1)
        let variances = (1.0 + ratio * &sizes * between).mapv_into(f64::recip); // (speaker, feature)
        let means = ratio * &variances * &responsibilities.t().dot(&scaled); // (speaker, feature)
        let squares = &means * &means; // (speaker, feature)

        let expected = -0.5 * (&variances + &squares).dot(between); // (speaker,)
        let log_shares = shares.mapv(|share| (share + SHARE_FLOOR).ln()); // (speaker,)
        responsibilities = scaled.dot(&means.t()); // (embedding, speaker)
        let mut evidence = 0.0;
        for (mut row, log_norm) in responsibilities.rows_mut().into_iter().zip(&log_norms) {
            Zip::from(&mut row).and(&expected).and(&log_shares).for_each(|value, expected, log_share| {
                *value = parameters.fa * (*value + expected + log_norm) + log_share;
            });
            let total = log_sum_exp(row.view());
            row.mapv_inplace(|value| (value - total).exp());
            evidence += total;
        }
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
    VbxPosteriors { responsibilities, shares, bounds }
}

/// Responsibilities that are nearly sure of `labels`: `(embedding, speaker)`.
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
