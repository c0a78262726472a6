//! The encoder: from a spectrogram to a vector every 20 ms.

use candle_core::{Result, Tensor};
use candle_nn::{Conv1d, Conv1dConfig, LayerNorm, Module};
use candle_transformers::models::whisper::Config;

use super::{attention::Attention, feed_forward::FeedForward, gelu, in_parallel, linear::Rows};
use crate::weights::Weights;

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
    pub fn load(weights: &Weights, config: &Config) -> crate::Result<Self> {
        let &Config {
            d_model: width,
            num_mel_bins,
            max_source_positions,
            encoder_attention_heads: heads,
            ..
        } = config;
        let layer = |index: usize| {
            let name = format!("encoder.layers.{index}");
            Ok(Layer {
                norm: weights.layer_norm(&format!("{name}.self_attn_layer_norm"), width)?,
                attention: Attention::load(
                    weights,
                    &format!("{name}.self_attn"),
                    width,
                    heads,
                    [Rows::Many; 2],
                )?,
                feed_forward: FeedForward::load(weights, &name, width, Rows::Many)?,
            })
        };
        let layers = in_parallel(config.encoder_layers, layer)?;
        let convolution = |name: &str, inputs: usize, stride: usize| -> crate::Result<Conv1d> {
            let kernel = weights.take(&format!("encoder.{name}.weight"), &[width, inputs, 3])?;
            let bias = weights.take(&format!("encoder.{name}.bias"), &[width])?;
            let config = Conv1dConfig { padding: 1, stride, ..Conv1dConfig::default() };
            Ok(Conv1d::new(kernel, Some(bias), config))
        };
        Ok(Self {
            first: convolution("conv1", num_mel_bins, 1)?,
            second: convolution("conv2", width, 2)?,
            positions: weights.take("encoder.embed_positions.weight", &[max_source_positions, width])?,
            layers,
            norm: weights.layer_norm("encoder.layer_norm", width)?,
        })
    }

    /// Maps a spectrogram `(1, filters, frames)` to `(frames / 2, width)`.
    pub fn forward(&self, mel: &Tensor) -> Result<Tensor> {
        let x = gelu(&self.first.forward(mel)?)?;
        let x = gelu(&self.second.forward(&x)?)?;
        let mut x = x.squeeze(0)?.t()?.add(&self.positions)?;
        for layer in &self.layers {
            x = (&x + layer.attention.forward(&layer.norm.forward(&x)?)?)?;
            x = layer.feed_forward.forward(&x)?;
        }
        self.norm.forward(&x)
    }
}
