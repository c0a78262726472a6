//! The outputs of the networks, for tests. No promise is made about them.

use std::path::Path;

use candle_core::{DType, Tensor};
use diarize::{Device, Precision};

use crate::{
    Options, Result, Whisper,
    decoding::Answer,
    model::{Cache, Heard},
    place::Place,
    spectrogram::Spectrogram,
    whisper::Networks,
};

/// Rows of a matrix.
pub type Rows = Vec<Vec<f32>>;

/// Both networks of a model.
#[derive(Debug)]
pub struct Model(Networks);

impl Model {
    /// Reads the networks in a folder.
    ///
    /// # Errors
    /// As [`Whisper::load_on`](crate::Whisper::load_on).
    pub fn load(folder: &Path, device: Device, precision: Precision) -> Result<Self> {
        Networks::load(folder, &Place::open(device, precision)?).map(Self)
    }

    /// The encoder's output `(positions, width)` for a spectrogram `(filters, frames)`.
    ///
    /// # Errors
    /// If the sizes do not fit.
    pub fn encode(&self, mel: &Rows) -> Result<Rows> {
        let output = self.0.encoder.forward(&self.input(mel)?.unsqueeze(0)?)?;
        Ok(output.to_dtype(DType::F32)?.to_vec2()?)
    }

    /// The logits after each token, decoded in parts of the given lengths, and the attention of the alignment heads
    /// before the softmax, in the last part.
    ///
    /// # Errors
    /// If the sizes do not fit.
    pub fn decode(&self, encoded: &Rows, parts: &[&[u32]]) -> Result<(Rows, Vec<Rows>)> {
        let Networks { decoder, alignment_heads, .. } = &self.0;
        let heard = decoder.hear(&self.input(encoded)?)?;
        let (mut cache, mut logits, mut attention) = (Cache::default(), Vec::new(), Vec::new());
        for part in parts {
            let (output, scores) = decoder.forward(part, &heard, &mut cache, alignment_heads)?;
            logits.extend(decoder.logits(&output)?.to_vec2::<f32>()?);
            attention = scores.iter().map(Tensor::to_vec2).collect::<Result<_, _>>()?;
        }
        Ok((logits, attention))
    }

    /// The logits of several windows that are decoded at the same time: after each of the first `shared` tokens of the longest
    /// text, before which shorter texts are padded, and then after each further token, for the windows `kept` alone.
    ///
    /// # Errors
    /// If the sizes do not fit.
    pub fn decode_together(
        &self,
        encoded: &[Rows],
        texts: &[&[u32]],
        shared: usize,
        kept: &[usize],
    ) -> Result<[Rows; 2]> {
        let decoder = &self.0.decoder;
        let windows = encoded.iter().map(|encoded| Ok(decoder.hear(&self.input(encoded)?)?));
        let windows: Vec<Heard> = windows.collect::<Result<_>>()?;
        let mut heard = Heard::join(&windows.iter().collect::<Vec<_>>())?;
        let longest = texts.iter().map(|text| text.len()).max().unwrap_or_default();
        let padded = texts.iter().map(|text| [&vec![0; longest - text.len()], *text].concat());
        let padded: Vec<Vec<u32>> = padded.collect();
        let mut cache = Cache::with_padding(texts.iter().map(|text| longest - text.len()).collect());
        let starts = padded.iter().flat_map(|text| &text[..shared]).copied();
        let (output, _) = decoder.forward(&starts.collect::<Vec<_>>(), &heard, &mut cache, &[])?;
        let before = decoder.logits(&output)?.to_vec2()?;
        (heard, cache) = (heard.select(kept)?, cache.select(kept)?);
        let rests = kept.iter().flat_map(|&window| &padded[window][shared..]).copied();
        let (output, _) = decoder.forward(&rests.collect::<Vec<_>>(), &heard, &mut cache, &[])?;
        Ok([before, decoder.logits(&output)?.to_vec2()?])
    }

    fn input(&self, rows: &Rows) -> Result<Tensor> {
        Ok(self.0.place.take(&Tensor::new(rows.clone(), &candle_core::Device::Cpu)?)?)
    }
}

/// The answer for the first 30 s at temperature 0, in the language of the options.
#[derive(Clone, Debug)]
pub struct Greedy {
    /// The tokens, with times and without the end.
    pub tokens: Vec<u32>,
    /// Mean log-probability of the tokens and the end.
    pub log_probability: f64,
    /// Probability that nobody speaks.
    pub no_speech: f64,
}

/// Decodes the first 30 s of samples without another attempt at a higher temperature.
///
/// # Errors
/// As [`Whisper::transcribe`].
pub fn greedy(whisper: &Whisper, samples: &[f32], options: &Options) -> Result<Greedy> {
    let Answer { tokens, log_probability, no_speech, .. } = whisper.greedy(samples, options)?;
    Ok(Greedy { tokens, log_probability, no_speech })
}

/// The probability of each of [`Whisper::languages`] in the first 30 s of samples.
///
/// # Errors
/// As [`Whisper::detect_language`].
pub fn language_probabilities(whisper: &Whisper, samples: &[f32]) -> Result<Vec<f64>> {
    whisper.language_probabilities(samples)
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
