//! The encoder: from a spectrogram to a vector every 20 ms.

use candle_core::{Result, Tensor};
use candle_nn::{Conv1d, Conv1dConfig, LayerNorm, Module};

use super::{attention::Attention, feed_forward::FeedForward};
use crate::weights::{Dimensions, Weights};

/// Two convolutions and a stack of transformer layers.
///
/// Source: `whisper.model.AudioEncoder`.
#[derive(Debug)]
pub struct Encoder {
    first: Conv1d,
    second: Conv1d,
    positions: Tensor,
    layers: Vec<Layer>,
    norm: LayerNorm,
}

#[derive(Debug)]
struct Layer {
    norm: LayerNorm,
    attention: Attention,
    feed_forward: FeedForward,
}

impl Encoder {
    /// Takes the encoder's weights.
    pub fn load(weights: &mut Weights, dimensions: &Dimensions) -> crate::Result<Self> {
        let Dimensions { width, mel_filters, audio_positions, encoder_heads, .. } = *dimensions;
        let layers = (0..dimensions.encoder_layers).map(|index| {
            let name = format!("encoder.layers.{index}");
            Ok(Layer {
                norm: weights.layer_norm(&format!("{name}.self_attn_layer_norm"), width)?,
                attention: Attention::load(weights, &format!("{name}.self_attn"), width, encoder_heads)?,
                feed_forward: FeedForward::load(weights, &name, width)?,
            })
        });
        let layers = layers.collect::<crate::Result<_>>()?;
        let mut convolution = |name: &str, inputs: usize, stride: usize| -> crate::Result<Conv1d> {
            let kernel = weights.take(&format!("encoder.{name}.weight"), &[width, inputs, 3])?;
            let bias = weights.take(&format!("encoder.{name}.bias"), &[width])?;
            let config = Conv1dConfig { padding: 1, stride, ..Conv1dConfig::default() };
            Ok(Conv1d::new(kernel, Some(bias), config))
        };
        Ok(Self {
            first: convolution("conv1", mel_filters, 1)?,
            second: convolution("conv2", width, 2)?,
            positions: weights.take("encoder.embed_positions.weight", &[audio_positions, width])?,
            layers,
            norm: weights.layer_norm("encoder.layer_norm", width)?,
        })
    }

    /// Maps a spectrogram `(1, filters, frames)` to `(frames / 2, width)`.
    pub fn forward(&self, mel: &Tensor) -> Result<Tensor> {
        let x = self.first.forward(mel)?.gelu_erf()?;
        let x = self.second.forward(&x)?.gelu_erf()?;
        let mut x = x.squeeze(0)?.t()?.add(&self.positions)?;
        for layer in &self.layers {
            let normalized = layer.norm.forward(&x)?;
            let memory = layer.attention.keys_values(&normalized)?;
            x = (x + layer.attention.forward(&normalized, &memory, None)?.0)?;
            x = layer.feed_forward.forward(&x)?;
        }
        self.norm.forward(&x)
    }
}
