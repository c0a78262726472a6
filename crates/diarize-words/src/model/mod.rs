//! The two networks of Whisper.
//!
//! `candle-transformers` has them as well, but with the approximate GELU, which moves the encoder's output away from
//! the genuine one, without a cache for the tokens, and without access to the attention that word times need.

mod attention;
mod decoder;
mod encoder;
mod feed_forward;

pub use self::{
    decoder::{Cache, Decoder, Head, Heard},
    encoder::Encoder,
};
