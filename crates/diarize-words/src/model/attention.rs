//! Multi-head attention, the same in encoder and decoder.

use std::sync::Arc;

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

/// Keys and values of several texts or windows, each `(texts, heads, positions, width of a head)`. Later tokens can be
/// appended.
#[derive(Clone, Debug)]
pub struct KeysValues {
    keys: Tensor,
    values: Tensor,
}

/// Keys and values of the audio of several windows. They do not grow.
#[derive(Clone, Debug)]
pub enum Audio {
    /// On the CPU, those of each window.
    Memories(Vec<Arc<Memory>>),
    /// On GPUs.
    KeysValues(KeysValues),
}

impl Attention {
    /// Takes the weights under `name`. `width` is the width of the network, `rows` the number of queries at once, and
    /// `memory` that of the positions that they attend to.
    pub fn load(
        weights: &Weights,
        name: &str,
        width: usize,
        heads: usize,
        [rows, memory]: [Rows; 2],
    ) -> crate::Result<Self> {
        let linear = |part: &str, bias: bool, rows: Rows| {
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

    /// Keys and values of the audio `(positions, width)` of a window.
    pub fn audio(&self, x: &Tensor) -> Result<Audio> {
        Ok(if x.device().is_cpu() {
            let memory = Memory::new(&self.key.forward(x)?, &self.value.forward(x)?, self.heads)?;
            Audio::Memories(vec![Arc::new(memory)])
        } else {
            Audio::KeysValues(self.keys_values(x, 1)?)
        })
    }

    /// Maps `(windows * n, width)` to `(windows * n, width)` by what each row finds in the audio of its window. Also returns
    /// the scores before the softmax `(windows * n, positions)` of the `observed` heads.
    pub fn forward_to_audio(
        &self,
        x: &Tensor,
        audio: &Audio,
        observed: &[usize],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        match audio {
            Audio::Memories(memories) => {
                let queries = self.queries(x)?;
                let count = queries.dim(0)? / memories.len();
                let of_each = |find: &dyn Fn(&Memory, &Tensor) -> Result<Tensor>| {
                    let windows = memories.iter().enumerate();
                    let found = windows
                        .map(|(window, memory)| find(memory, &queries.narrow(0, window * count, count)?));
                    Tensor::cat(&found.collect::<Result<Vec<_>>>()?, 0)
                };
                let mixed = of_each(&|memory, queries| memory.attend(queries))?;
                let scores =
                    observed.iter().map(|&head| of_each(&|memory, queries| memory.scores(queries, head)));
                Ok((self.output.forward(&mixed)?, scores.collect::<Result<_>>()?))
            }
            Audio::KeysValues(known) => {
                let scores = self.scores(x, known)?;
                let of_head =
                    observed.iter().map(|&head| scores.narrow(1, head, 1)?.flatten_to(2)?.force_contiguous());
                Ok((self.mix(&scores, known)?, of_head.collect::<Result<_>>()?))
            }
        }
    }

    /// Maps `(texts * n, width)` to `(texts * n, width)` by what each row finds in `known` of its text. `mask`, `(n, positions)` or `(texts, heads, n, positions)`, is
    /// added to the scores.
    pub fn forward_to_tokens(&self, x: &Tensor, known: &KeysValues, mask: Option<&Tensor>) -> Result<Tensor> {
        let mut scores = self.scores(x, known)?;
        if let Some(mask) = mask {
            scores = scores.broadcast_add(mask)?;
        }
        self.mix(&scores, known)
    }

    /// Keys and values of tokens `(texts * positions, width)`.
    pub fn keys_values(&self, x: &Tensor, texts: usize) -> Result<KeysValues> {
        Ok(KeysValues {
            keys: self.split(&self.key.forward(x)?, texts)?,
            values: self.split(&self.value.forward(x)?, texts)?,
        })
    }

    fn queries(&self, x: &Tensor) -> Result<Tensor> {
        self.query.forward(x)? * self.scale
    }

    /// The scores `(texts, heads, n, positions)` of `(texts * n, width)`.
    fn scores(&self, x: &Tensor, known: &KeysValues) -> Result<Tensor> {
        self.split(&self.queries(x)?, known.texts()?)?.matmul(&known.keys.t()?)
    }

    /// The output `(texts * n, width)` for scores `(texts, heads, n, positions)`.
    fn mix(&self, scores: &Tensor, known: &KeysValues) -> Result<Tensor> {
        let mixed = softmax_last_dim(scores)?.matmul(&known.values)?; // (texts, heads, n, width of a head)
        let (texts, heads, count, columns) = mixed.dims4()?;
        // One row of each text needs no transposition, which would be a copy.
        let mixed = if count == 1 { mixed } else { mixed.transpose(1, 2)? };
        self.output.forward(&mixed.reshape((texts * count, heads * columns))?)
    }

    /// Splits `(texts * n, width)` into `(texts, heads, n, width of a head)`.
    fn split(&self, x: &Tensor, texts: usize) -> Result<Tensor> {
        let (rows, width) = x.dims2()?;
        let columns = width / self.heads;
        // As in `mix`.
        if rows == texts {
            return x.reshape((texts, self.heads, 1, columns));
        }
        x.reshape((texts, rows / texts, self.heads, columns))?.transpose(1, 2)?.contiguous()
    }
}

impl KeysValues {
    /// Appends those of later positions.
    pub fn extended(&self, later: &Self) -> Result<Self> {
        Ok(Self {
            keys: Tensor::cat(&[&self.keys, &later.keys], 2)?,
            values: Tensor::cat(&[&self.values, &later.values], 2)?,
        })
    }

    /// Those of all texts of `parts`, which are equally long.
    pub fn join(parts: &[&Self]) -> Result<Self> {
        let (keys, values): (Vec<&Tensor>, Vec<&Tensor>) =
            parts.iter().map(|part| (&part.keys, &part.values)).unzip();
        Ok(Self { keys: Tensor::cat(&keys, 0)?, values: Tensor::cat(&values, 0)? })
    }

    /// Those of some texts.
    pub fn select(&self, texts: &[usize]) -> Result<Self> {
        let texts: Vec<u32> = texts.iter().map(|&text| text as u32).collect();
        let texts = Tensor::new(texts, self.keys.device())?;
        Ok(Self { keys: self.keys.index_select(&texts, 0)?, values: self.values.index_select(&texts, 0)? })
    }

    /// Number of texts.
    pub fn texts(&self) -> Result<usize> {
        self.keys.dim(0)
    }

    /// Number of positions.
    pub fn positions(&self) -> Result<usize> {
        self.keys.dim(2)
    }
}

impl Audio {
    /// Those of all windows of `parts`, which are on one device.
    pub fn join(parts: &[&Self]) -> Result<Self> {
        let (mut memories, mut known) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                Self::Memories(part) => memories.extend_from_slice(part),
                Self::KeysValues(part) => known.push(part),
            }
        }
        Ok(match known.is_empty() {
            true => Self::Memories(memories),
            false => Self::KeysValues(KeysValues::join(&known)?),
        })
    }

    /// Those of some windows.
    pub fn select(&self, windows: &[usize]) -> Result<Self> {
        Ok(match self {
            Self::Memories(all) => {
                Self::Memories(windows.iter().map(|&window| Arc::clone(&all[window])).collect())
            }
            Self::KeysValues(all) => Self::KeysValues(all.select(windows)?),
        })
    }

    /// Number of windows.
    pub fn windows(&self) -> Result<usize> {
        match self {
            Self::Memories(memories) => Ok(memories.len()),
            Self::KeysValues(known) => known.texts(),
        }
    }
}
