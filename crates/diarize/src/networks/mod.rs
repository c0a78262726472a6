//! The two networks, implemented with Candle, one module each.

pub(crate) mod linear;
pub(crate) mod pyannet;
pub(crate) mod wespeaker;

pub use self::{pyannet::PyanNet, wespeaker::WeSpeaker};
