//! The two networks of Whisper.
//!
//! `candle-transformers` has them as well, but with the approximate GELU, which moves the outputs away from the genuine
//! ones, without a cache for the tokens, and without access to the attention that word times need.

mod attention;
mod decoder;
mod encoder;
mod feed_forward;
mod linear;

use candle_core::{Result, Tensor};
use rayon::prelude::*;

pub use self::{
    decoder::{Cache, Decoder, Head, Heard},
    encoder::Encoder,
};

/// The Gaussian error linear unit of each value, not approximated.
fn gelu(x: &Tensor) -> Result<Tensor> {
    match x.device().is_cpu() {
        true => diarize_kernels::gelu::gelu(x),
        false => x.contiguous()?.gelu_erf(),
    }
}

/// Loads each of `count` layers, several at the same time.
///
/// # Errors
/// Of several errors, that of the first layer, whichever came first in time.
fn in_parallel<T: Send>(
    count: usize,
    load: impl Fn(usize) -> crate::Result<T> + Send + Sync,
) -> crate::Result<Vec<T>> {
    let layers: Vec<crate::Result<T>> = (0..count).into_par_iter().map(load).collect();
    layers.into_iter().collect()
}
