//! Whisper's log mel spectrogram.
//!
//! Frames of 25 ms every 10 ms, centered, with a periodic Hann window; the power spectrum; triangles on Slaney's mel
//! scale, each with unit area; then `log10`, at most 8 below the maximum, and scaled: `(x + 4) / 4`.
//!
//! Source: `whisper.audio.log_mel_spectrogram`, whose table of filters is `librosa.filters.mel`.

use std::f64::consts::{LN_10, PI};

use candle_core::{Device, Tensor};
use candle_transformers::models::whisper::{HOP_LENGTH, N_FFT, SAMPLE_RATE};
use diarize_kernels::{fbank::Fbank, mel::LogMel, stft::Stft};

use crate::{Error, Result};

/// The least energy.
const FLOOR: f32 = 1e-10;

/// Computes log mel spectrograms.
#[derive(Debug)]
pub struct Spectrogram {
    fbank: Fbank,
}

/// A log mel spectrogram.
#[derive(Clone, Debug)]
pub struct Mel {
    /// `(frames, filters)`, row-major.
    values: Vec<f32>,
    filters: usize,
}

impl Spectrogram {
    /// A spectrogram with `filters` bands from 0 Hz to 8 kHz.
    pub fn new(filters: usize) -> Self {
        let window = (0..N_FFT).map(|n| (0.5 - 0.5 * (2.0 * PI * n as f64 / N_FFT as f64).cos()) as f32);
        let stft = Stft {
            frame_length: N_FFT,
            hop: HOP_LENGTH,
            fft_length: N_FFT,
            remove_mean: false,
            preemphasis: 0.0,
            window: window.collect(),
        };
        let edges = edges(filters);
        let mel =
            LogMel::from_weights(filters, stft.bins(), |filter, bin| weight(&edges, filter, bin), FLOOR);
        Self { fbank: Fbank { stft, mel } }
    }

    /// The spectrogram of samples at 16 kHz: a frame for each whole 10 ms.
    ///
    /// # Errors
    /// A sample is not finite.
    pub fn compute(&self, samples: &[f32]) -> Result<Mel> {
        if let Some(index) = samples.iter().position(|sample| !sample.is_finite()) {
            return Err(Error::NonFiniteSample { index, value: samples[index] });
        }
        let filters = self.fbank.mel.filters();
        let frames = samples.len() / HOP_LENGTH;
        let mirrored = (1..=N_FFT / 2).rev().map(|index| samples.get(index).copied().unwrap_or_default());
        let padded: Vec<f32> =
            mirrored.chain(samples.iter().copied()).chain(std::iter::repeat_n(0.0, N_FFT / 2)).collect();
        let length = padded.len();
        let energies = self.fbank.log_energies(&Tensor::from_vec(padded, (1, length), &Device::Cpu)?)?;
        let mut values: Vec<f32> = energies.flatten_all()?.to_vec1()?;
        values.truncate(frames * filters);
        let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max) / LN_10 as f32;
        for value in &mut values {
            *value = ((*value / LN_10 as f32).max(largest - 8.0) + 4.0) / 4.0;
        }
        Ok(Mel { values, filters })
    }
}

impl Mel {
    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.values.len() / self.filters
    }

    /// `frames` frames from `first` on as the input of the encoder `(1, filters, length)`, with zeros after the end.
    ///
    /// # Errors
    /// If memory runs out.
    pub fn segment(&self, first: usize, frames: usize, length: usize) -> Result<Tensor> {
        let mut rows = vec![0f32; self.filters * length];
        for (frame, values) in self.values.chunks(self.filters).skip(first).take(frames).enumerate() {
            for (filter, value) in values.iter().enumerate() {
                rows[filter * length + frame] = *value;
            }
        }
        Ok(Tensor::from_vec(rows, (1, self.filters, length), &Device::Cpu)?)
    }
}

/// The edges of the triangles in hertz, equally spaced on Slaney's scale: linear below 1 kHz, logarithmic above.
fn edges(filters: usize) -> Vec<f64> {
    const LINEAR: f64 = 200.0 / 3.0; // hertz per mel
    const CORNER: f64 = 1000.0; // hertz
    let step = 6.4f64.ln() / 27.0; // octaves, in natural logarithms, per mel above the corner
    let highest = CORNER / LINEAR + (8000.0 / CORNER).ln() / step;
    let hertz = |mel: f64| match mel * LINEAR {
        linear if linear < CORNER => linear,
        _ => CORNER * (step * (mel - CORNER / LINEAR)).exp(),
    };
    (0..filters + 2).map(|edge| hertz(highest * edge as f64 / (filters + 1) as f64)).collect()
}

fn weight(edges: &[f64], filter: usize, bin: usize) -> f32 {
    let [low, center, high] = [edges[filter], edges[filter + 1], edges[filter + 2]];
    let at = bin as f64 * SAMPLE_RATE as f64 / N_FFT as f64;
    let height = ((at - low) / (center - low)).min((high - at) / (high - center)).max(0.0);
    (height * 2.0 / (high - low)) as f32
}
