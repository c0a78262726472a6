//! The outputs of the networks, for tests. No promise is made about them.

use std::path::Path;

use candle_core::Tensor;

use crate::{Result, model::Cache, spectrogram::Spectrogram, whisper::Networks};

/// Rows of a matrix.
pub type Rows = Vec<Vec<f32>>;

/// Both networks of a model.
#[derive(Debug)]
pub struct Model(Networks);

impl Model {
    /// Reads the networks in a folder.
    ///
    /// # Errors
    /// As [`Whisper::load`](crate::Whisper::load).
    pub fn load(folder: &Path) -> Result<Self> {
        Networks::load(folder).map(Self)
    }

    /// The encoder's output `(positions, width)` for a spectrogram `(filters, frames)`.
    ///
    /// # Errors
    /// If the sizes do not fit.
    pub fn encode(&self, mel: &Rows) -> Result<Rows> {
        let input = Tensor::new(mel.clone(), &candle_core::Device::Cpu)?.unsqueeze(0)?;
        Ok(self.0.encoder.forward(&input)?.to_vec2()?)
    }

    /// The logits after each token, decoded in parts of the given lengths, and the attention of the alignment heads
    /// before the softmax, in the last part.
    ///
    /// # Errors
    /// If the sizes do not fit.
    pub fn decode(&self, encoded: &Rows, parts: &[&[u32]]) -> Result<(Rows, Vec<Rows>)> {
        let Networks { decoder, alignment_heads, .. } = &self.0;
        let heard = decoder.hear(&Tensor::new(encoded.clone(), &candle_core::Device::Cpu)?)?;
        let (mut cache, mut logits, mut attention) = (Cache::default(), Vec::new(), Vec::new());
        for part in parts {
            let (output, scores) = decoder.forward(part, &heard, &mut cache, alignment_heads)?;
            logits.extend(decoder.logits(&output)?.to_vec2::<f32>()?);
            attention = scores.iter().map(Tensor::to_vec2).collect::<Result<_, _>>()?;
        }
        Ok((logits, attention))
    }
}

/// The spectrogram of samples `(filters, frames)`.
///
/// # Errors
/// A sample is not finite.
pub fn spectrogram(samples: &[f32], filters: usize) -> Result<Rows> {
    let mel = Spectrogram::new(filters).compute(samples)?;
    let frames = mel.frames();
    Ok(mel.segment(0, frames, frames)?.squeeze(0)?.to_vec2()?)
}
