//! Multi-head attention, the same in encoder and decoder.

use candle_core::{Result, Tensor};
use candle_nn::ops::softmax_last_dim;
use diarize_kernels::attention::Memory;

use super::linear::{Linear, Rows};
use crate::weights::Weights;

/// The projections of an attention layer.
#[derive(Debug)]
pub struct Attention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
    /// The factor of the scores.
    scale: f64,
}

/// Keys and values of tokens, each `(heads, positions, width of a head)`. Later tokens can be appended.
#[derive(Clone, Debug)]
pub struct KeysValues {
    keys: Tensor,
    values: Tensor,
}

/// Keys and values of the audio, which do not grow.
#[derive(Debug)]
pub enum Audio {
    /// On the CPU.
    Memory(Memory),
    /// On GPUs.
    KeysValues(KeysValues),
}

impl Attention {
    /// Takes the weights under `name`. `width` is the width of the network, `rows` the number of queries at once, and
    /// `memory` that of the positions that they attend to.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        width: usize,
        heads: usize,
        [rows, memory]: [Rows; 2],
    ) -> crate::Result<Self> {
        let mut linear = |part: &str, bias: bool, rows: Rows| {
            Linear::load(weights, &format!("{name}.{part}"), [width, width], bias, rows)
        };
        Ok(Self {
            query: linear("q_proj", true, rows)?,
            key: linear("k_proj", false, memory)?,
            value: linear("v_proj", true, memory)?,
            output: linear("out_proj", true, rows)?,
            heads,
            scale: ((width / heads) as f64).powf(-0.5),
        })
    }

    /// Maps `(n, width)` to `(n, width)`: each position attends to all.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.forward_to_audio(x, &self.audio(x)?, &[])?.0)
    }

    /// Keys and values of the audio `(positions, width)`.
    pub fn audio(&self, x: &Tensor) -> Result<Audio> {
        Ok(if x.device().is_cpu() {
            Audio::Memory(Memory::new(&self.key.forward(x)?, &self.value.forward(x)?, self.heads)?)
        } else {
            Audio::KeysValues(self.keys_values(x)?)
        })
    }

    /// Maps `(n, width)` to `(n, width)` by what it finds in `audio`. Also returns the scores before the softmax
    /// `(n, positions)` of the `observed` heads.
    pub fn forward_to_audio(
        &self,
        x: &Tensor,
        audio: &Audio,
        observed: &[usize],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        match audio {
            Audio::Memory(memory) => {
                let queries = self.queries(x)?;
                let scores = observed.iter().map(|&head| memory.scores(&queries, head));
                Ok((self.output.forward(&memory.attend(&queries)?)?, scores.collect::<Result<_>>()?))
            }
            Audio::KeysValues(known) => {
                let scores = self.scores(x, known)?;
                let of_head = observed.iter().map(|&head| scores.get(head)?.force_contiguous());
                Ok((self.mix(&scores, known)?, of_head.collect::<Result<_>>()?))
            }
        }
    }

    /// Maps `(n, width)` to `(n, width)` by what it finds in `known`. `mask` `(n, positions)` is added to the scores.
    pub fn forward_to_tokens(&self, x: &Tensor, known: &KeysValues, mask: Option<&Tensor>) -> Result<Tensor> {
        let mut scores = self.scores(x, known)?;
        if let Some(mask) = mask {
            scores = scores.broadcast_add(mask)?;
        }
        self.mix(&scores, known)
    }

    /// Keys and values of tokens `(positions, width)`.
    pub fn keys_values(&self, x: &Tensor) -> Result<KeysValues> {
        Ok(KeysValues {
            keys: self.split(&self.key.forward(x)?)?,
            values: self.split(&self.value.forward(x)?)?,
        })
    }

    fn queries(&self, x: &Tensor) -> Result<Tensor> {
        self.query.forward(x)? * self.scale
    }

    /// The scores `(heads, n, positions)` of `(n, width)`.
    fn scores(&self, x: &Tensor, known: &KeysValues) -> Result<Tensor> {
        self.split(&self.queries(x)?)?.matmul(&known.keys.t()?)
    }

    /// The output `(n, width)` for scores `(heads, n, positions)`.
    fn mix(&self, scores: &Tensor, known: &KeysValues) -> Result<Tensor> {
        let mixed = softmax_last_dim(scores)?.matmul(&known.values)?.transpose(0, 1)?;
        self.output.forward(&mixed.flatten_from(1)?)
    }

    /// Splits `(n, width)` into `(heads, n, width of a head)`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (positions, width) = x.dims2()?;
        x.reshape((positions, self.heads, width / self.heads))?.transpose(0, 1)?.contiguous()
    }
}

impl KeysValues {
    /// Appends those of later positions.
    pub fn extended(&self, later: &Self) -> Result<Self> {
        Ok(Self {
            keys: Tensor::cat(&[&self.keys, &later.keys], 1)?,
            values: Tensor::cat(&[&self.values, &later.values], 1)?,
        })
    }

    /// Number of positions.
    pub fn positions(&self) -> Result<usize> {
        self.keys.dim(1)
    }
}
