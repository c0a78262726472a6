//! The two networks of Whisper.
//!
//! `candle-transformers` has them as well, but with the approximate GELU, which moves the outputs away from the genuine
//! ones, without a cache for the tokens, and without access to the attention that word times need.

mod attention;
mod decoder;
mod encoder;
mod feed_forward;
mod linear;

pub use self::{
    decoder::{Cache, Decoder, Head, Heard},
    encoder::Encoder,
};
