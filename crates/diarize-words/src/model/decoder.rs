//! The decoder: from the tokens so far and the encoder's output to the next token.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{LayerNorm, Module};
use candle_transformers::models::whisper::Config;

use super::{
    attention::{Attention, Audio, KeysValues},
    feed_forward::FeedForward,
    in_parallel,
    linear::{Linear, Rows},
};
use crate::{place::Place, weights::Weights};

/// An attention head of the decoder: its layer, and its index in the layer.
pub type Head = (usize, usize);

/// Token embeddings and a stack of transformer layers that attend to the audio.
///
/// Source: `whisper.model.TextDecoder`.
#[derive(Debug)]
pub struct Decoder {
    embeddings: Linear,
    positions: Tensor,
    layers: Vec<Layer>,
    norm: LayerNorm,
    /// Number of attention heads in a layer.
    heads: usize,
    place: Place,
}

#[derive(Debug)]
struct Layer {
    self_norm: LayerNorm,
    self_attention: Attention,
    cross_norm: LayerNorm,
    cross_attention: Attention,
    feed_forward: FeedForward,
}

/// Keys and values of the audio of some windows for each layer. They are computed once for a window.
#[derive(Clone, Debug)]
pub struct Heard(Vec<Audio>);

/// Keys and values of the tokens so far for each layer: those of the text of each window, or those of the texts that
/// [`Decoder::branch`] follows.
#[derive(Debug, Default)]
pub struct Cache {
    layers: Vec<KeysValues>,
    /// How many tokens before each text only make all texts equally long. If it is empty, there are none.
    padding: Vec<usize>,
}

impl Decoder {
    /// Takes the decoder's weights.
    pub fn load(weights: &Weights, config: &Config) -> crate::Result<Self> {
        let &Config {
            d_model: width, vocab_size, max_target_positions, decoder_attention_heads: heads, ..
        } = config;
        let layer = |index: usize| {
            let name = format!("decoder.layers.{index}");
            Ok(Layer {
                self_norm: weights.layer_norm(&format!("{name}.self_attn_layer_norm"), width)?,
                self_attention: Attention::load(
                    weights,
                    &format!("{name}.self_attn"),
                    width,
                    heads,
                    [Rows::Few; 2],
                )?,
                cross_norm: weights.layer_norm(&format!("{name}.encoder_attn_layer_norm"), width)?,
                cross_attention: Attention::load(
                    weights,
                    &format!("{name}.encoder_attn"),
                    width,
                    heads,
                    [Rows::Few, Rows::Many],
                )?,
                feed_forward: FeedForward::load(weights, &name, width, Rows::Few)?,
            })
        };
        let embeddings =
            || Linear::load(weights, "decoder.embed_tokens", [width, vocab_size], false, Rows::Few);
        let (embeddings, layers) = rayon::join(embeddings, || in_parallel(config.decoder_layers, layer));
        Ok(Self {
            embeddings: embeddings?,
            positions: weights.take("decoder.embed_positions.weight", &[max_target_positions, width])?,
            layers: layers?,
            norm: weights.layer_norm("decoder.layer_norm", width)?,
            heads,
            place: weights.place().clone(),
        })
    }

    /// Whether it computes on the CPU.
    pub fn is_on_cpu(&self) -> bool {
        self.place.device.is_cpu()
    }

    /// The keys and values of the encoder's output `(positions, width)` for a window.
    pub fn hear(&self, audio: &Tensor) -> Result<Heard> {
        self.layers.iter().map(|layer| layer.cross_attention.audio(audio)).collect::<Result<_>>().map(Heard)
    }

    /// Appends equally many tokens to the text of each window in `cache`, in the order of the windows. Returns the output
    /// `(tokens, width)`, and for each of the `observed` heads how much it attends to each position of the audio: scores before
    /// the softmax `(tokens, positions)`, as f32.
    pub fn forward(
        &self,
        tokens: &[u32],
        heard: &Heard,
        cache: &mut Cache,
        observed: &[Head],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let (before, windows) = (cache.positions()?, heard.windows()?);
        let count = tokens.len() / windows;
        let position = |row: usize| (before + row % count).saturating_sub(cache.padding(row / count)) as u32;
        let positions: Vec<u32> = (0..tokens.len()).map(position).collect();
        let positions = self.positions.index_select(&Tensor::new(positions, self.positions.device())?, 0)?;
        let embedded = (self.embeddings.rows(tokens)? + positions)?;
        // The last token may see all, except for padding.
        let mask =
            (count > 1 || !cache.padding.is_empty()).then(|| self.mask(before, count, cache)).transpose()?;
        self.run(embedded, mask.as_ref(), heard, cache, observed)
    }

    /// Appends one token to each of several texts of the only window to `cache`. All texts are equally long: `seen` has the
    /// indices of their tokens in `cache`, which they may share. Returns the output `(texts, width)`.
    pub fn branch(
        &self,
        tokens: &[u32],
        seen: &[&[usize]],
        heard: &Heard,
        cache: &mut Cache,
    ) -> Result<Tensor> {
        let (before, position) = (cache.positions()?, seen.first().map_or(0, |seen| seen.len()));
        let embedded =
            self.embeddings.rows(tokens)?.broadcast_add(&self.positions.narrow(0, position, 1)?)?;
        let length = before + tokens.len();
        let mut mask = vec![f32::NEG_INFINITY; tokens.len() * length];
        for (row, (seen, mask)) in seen.iter().zip(mask.chunks_mut(length)).enumerate() {
            seen.iter().for_each(|&index| mask[index] = 0.0);
            mask[before + row] = 0.0;
        }
        let mask = self.place.take(&Tensor::from_vec(mask, (tokens.len(), length), &Device::Cpu)?)?;
        Ok(self.run(embedded, Some(&mask), heard, cache, &[])?.0)
    }

    fn run(
        &self,
        mut x: Tensor,
        mask: Option<&Tensor>,
        heard: &Heard,
        cache: &mut Cache,
        observed: &[Head],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let mut scores = Vec::with_capacity(observed.len());
        for (index, (layer, heard)) in self.layers.iter().zip(&heard.0).enumerate() {
            let normalized = layer.self_norm.forward(&x)?;
            let new = layer.self_attention.keys_values(&normalized, heard.windows()?)?;
            match cache.layers.get_mut(index) {
                Some(known) => *known = known.extended(&new)?,
                None => cache.layers.push(new),
            }
            x = (x + layer.self_attention.forward_to_tokens(&normalized, &cache.layers[index], mask)?)?;
            let heads: Vec<usize> =
                observed.iter().filter(|(layer, _)| *layer == index).map(|&(_, head)| head).collect();
            let (found, observed) =
                layer.cross_attention.forward_to_audio(&layer.cross_norm.forward(&x)?, heard, &heads)?;
            x = layer.feed_forward.forward(&(x + found)?)?;
            for head in observed {
                scores.push(head.to_dtype(DType::F32)?);
            }
        }
        Ok((self.norm.forward(&x)?, scores))
    }

    /// The logits of all tokens `(n, vocabulary)` from the output `(n, width)`, as f32.
    pub fn logits(&self, output: &Tensor) -> Result<Tensor> {
        self.embeddings.forward(output)?.to_dtype(DType::F32)
    }

    /// Forbids each of `count` tokens of each text, which `before` tokens precede, to see later ones and padding:
    /// `(texts, heads, count, before + count)`, or `(count, before + count)` without padding.
    fn mask(&self, before: usize, count: usize, cache: &Cache) -> Result<Tensor> {
        let length = before + count;
        // The same for all heads, so that it need not be broadcast in each layer.
        let rows = match cache.padding.len() {
            0 => 1,
            texts => texts * self.heads,
        };
        let mut mask = Vec::with_capacity(rows * count * length);
        for row in 0..rows {
            let padding = cache.padding(row / self.heads);
            for token in before..length {
                // What has nothing else to see sees itself: without anything, its output would not be a number.
                let is_seen = |other: usize| other == token || (padding..token).contains(&other);
                mask.extend((0..length).map(|other| if is_seen(other) { 0.0 } else { f32::NEG_INFINITY }));
            }
        }
        let shape = match cache.padding.len() {
            0 => vec![count, length],
            texts => vec![texts, self.heads, count, length],
        };
        self.place.take(&Tensor::from_vec(mask, shape, &Device::Cpu)?)
    }
}

impl Heard {
    /// All windows of `parts`.
    pub fn join(parts: &[&Self]) -> Result<Self> {
        let layers = parts.first().map_or(0, |part| part.0.len());
        let layer = |layer| Audio::join(&parts.iter().map(|part| &part.0[layer]).collect::<Vec<_>>());
        (0..layers).map(layer).collect::<Result<_>>().map(Self)
    }

    /// Some of the windows. On a GPU, they are copied, unless they are all.
    pub fn select(&self, windows: &[usize]) -> Result<Self> {
        if windows.iter().copied().eq(0..self.windows()?) {
            return Ok(self.clone());
        }
        self.0.iter().map(|audio| audio.select(windows)).collect::<Result<_>>().map(Self)
    }

    fn windows(&self) -> Result<usize> {
        self.0.first().map_or(Ok(0), Audio::windows)
    }
}

impl Cache {
    /// For texts that are preceded by so many tokens that do not belong to them.
    pub fn with_padding(padding: Vec<usize>) -> Self {
        let padding = if padding.iter().all(|&count| count == 0) { Vec::new() } else { padding };
        Self { layers: Vec::new(), padding }
    }

    /// All texts of `parts`, which are equally long and not padded.
    pub fn join(parts: &[Self]) -> Result<Self> {
        let layers = parts.first().map_or(0, |part| part.layers.len());
        let layer =
            |layer| KeysValues::join(&parts.iter().map(|part| &part.layers[layer]).collect::<Vec<_>>());
        Ok(Self { layers: (0..layers).map(layer).collect::<Result<_>>()?, padding: Vec::new() })
    }

    /// The texts of some of the windows.
    pub fn select(&self, windows: &[usize]) -> Result<Self> {
        let layers = self.layers.iter().map(|known| known.select(windows)).collect::<Result<_>>()?;
        Ok(Self { layers, ..Self::with_padding(windows.iter().map(|&text| self.padding(text)).collect()) })
    }

    /// Number of tokens of a text, with its padding; with [`Decoder::branch`], of all texts.
    pub fn positions(&self) -> Result<usize> {
        self.layers.first().map_or(Ok(0), KeysValues::positions)
    }

    fn padding(&self, text: usize) -> usize {
        self.padding.get(text).copied().unwrap_or_default()
    }
}
