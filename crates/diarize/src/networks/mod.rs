//! The two networks in candle, one module each.

pub(crate) mod pyannet;
pub(crate) mod wespeaker;

pub use self::{pyannet::PyanNet, wespeaker::WeSpeaker};
