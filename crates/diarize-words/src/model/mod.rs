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
