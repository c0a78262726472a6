//! Probabilistic linear discriminant analysis: from embeddings to features that discriminate speakers.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rayon::prelude::*;

use super::ClusteringError;

/// Embeddings transformed at once; blocks run in parallel. Does not affect the result.
const BLOCK: usize = 256;

/// A PLDA model: the arrays of `xvec_transform.npz` and `plda.npz` in pyannote's
/// speaker-diarization-community-1.
///
/// An embedding `x` with `E` values is first reduced to `D` values by linear discriminant analysis, with
/// length normalization before and after:
///
/// `y = √D · n(√E · n(x - mean1) · lda - mean2)`, `n(v) = v / |v|`
///
/// and then transformed to a feature whose variance between speakers is `psi` and within a speaker 1,
/// independently along each axis (S. Ioffe, "Probabilistic Linear Discriminant Analysis", ECCV 2006):
///
/// `feature = tr · (y - mu)`
///
/// Features are sorted by decreasing `psi`, so that the first ones discriminate speakers best.
///
/// pyannote computes them from the generalized eigenvalue problem `B v = λ W v` of the covariances between
/// and within speakers, `W = (trᵀ tr)⁻¹` and `B = (trᵀ diag(psi)⁻¹ tr)⁻¹`. No eigensolver is needed:
/// for row `t` of `tr` and its variance `ψ`, `B t = tr⁻¹ diag(psi) e = ψ tr⁻¹ e = ψ W t` with `e` the
/// unit vector of that row, and `tᵀ W t = 1`. So the rows of `tr` are the eigenvectors and `psi` the
/// eigenvalues, up to the signs of the features, which VBx does not depend on.
///
/// Source: `pyannote/audio/utils/vbx.py` (`vbx_setup`) and `pyannote/audio/core/plda.py`.
#[derive(Clone, Debug, PartialEq)]
pub struct Plda {
    /// `(embedding value,)`: subtracted from the embeddings first.
    pub mean1: Array1<f64>,
    /// `(embedding value, discriminant)`.
    pub lda: Array2<f64>,
    /// `(discriminant,)`: subtracted from the discriminants.
    pub mean2: Array1<f64>,
    /// `(discriminant,)`: mean over all speakers.
    pub mu: Array1<f64>,
    /// `(feature, discriminant)`, square: diagonalizes both covariances.
    pub tr: Array2<f64>,
    /// `(feature,)`: variance between speakers, relative to a variance of 1 within a speaker.
    pub psi: Array1<f64>,
}

/// Embeddings transformed into the feature space of a [`Plda`] model.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// `(embedding, feature)`.
    pub values: Array2<f64>,
    /// `(feature,)`: variance between speakers, in decreasing order. The variance within a speaker is 1.
    pub between: Array1<f64>,
}

impl Plda {
    /// Checks that the shapes of the arrays are consistent and their values valid.
    ///
    /// # Errors
    /// [`ClusteringError::Plda`] with the problem found.
    pub fn check(&self) -> Result<(), ClusteringError> {
        let (embedding, discriminants) = self.lda.dim();
        let wrong = |reason| Err(ClusteringError::Plda { reason });
        if self.mean1.len() != embedding || self.mean2.len() != discriminants {
            return wrong("mean1 and mean2 do not match the shape of lda");
        }
        if self.mu.len() != discriminants
            || self.psi.len() != discriminants
            || self.tr.dim() != (discriminants, discriminants)
        {
            return wrong("mu, psi and tr do not match the number of outputs of lda");
        }
        let vectors = [&self.mean1, &self.mean2, &self.mu, &self.psi].into_iter().flatten();
        let matrices = [&self.lda, &self.tr].into_iter().flatten();
        if !vectors.chain(matrices).all(|value| value.is_finite()) {
            return wrong("a value is not finite");
        }
        if !self.psi.iter().all(|&psi| psi >= 0.0) {
            return wrong("a value of psi is negative");
        }
        Ok(())
    }

    /// The discriminants `y` of embeddings `(embedding, value)`: `(embedding, discriminant)`.
    ///
    /// # Panics
    /// If the embeddings have a different dimension than the model expects.
    pub fn discriminants(&self, embeddings: ArrayView2<'_, f32>) -> Array2<f64> {
        let (inputs, outputs) = self.lda.dim();
        let mut centered = embeddings.mapv(f64::from) - &self.mean1; // (embedding, value)
        scale_rows(&mut centered, (inputs as f64).sqrt());
        let mut projected = centered.dot(&self.lda) - &self.mean2; // (embedding, discriminant)
        scale_rows(&mut projected, (outputs as f64).sqrt());
        projected
    }

    /// The first `dimension` features (or all, if there are fewer) of embeddings `(embedding, value)`.
    ///
    /// # Panics
    /// If the embeddings have a different dimension than the model expects.
    pub fn features(&self, embeddings: ArrayView2<'_, f32>, dimension: usize) -> Features {
        let mut order: Vec<usize> = (0..self.psi.len()).collect();
        order.sort_by(|&a, &b| self.psi[b].total_cmp(&self.psi[a]));
        order.truncate(dimension);
        let transform = self.tr.select(Axis(0), &order); // (feature, discriminant)
        let mut values = Array2::zeros((embeddings.nrows(), order.len()));
        let blocks = values.axis_chunks_iter_mut(Axis(0), BLOCK);
        let blocks: Vec<_> = blocks.zip(embeddings.axis_chunks_iter(Axis(0), BLOCK)).collect();
        blocks.into_par_iter().for_each(|(mut values, embeddings)| {
            let centered = self.discriminants(embeddings) - &self.mu; // (embedding, discriminant)
            values.assign(&centered.dot(&transform.t()));
        });
        Features { values, between: self.psi.select(Axis(0), &order) }
    }
}

/// Scales every row to the Euclidean norm `length`. Rows of zeros are unchanged.
fn scale_rows(rows: &mut Array2<f64>, length: f64) {
    for mut row in rows.rows_mut() {
        let norm = row.dot(&row).sqrt();
        if norm > 0.0 {
            row *= length / norm;
        }
    }
}
