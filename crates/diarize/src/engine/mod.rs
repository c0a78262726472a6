//! How stages are computed: audio buffering, devices, batches and progress.

mod batches;
mod context;
mod networks;
mod trunk;
mod waveform;
mod windows;

pub(crate) use self::{
    batches::{BatchSize, Batches, Call, Meter, Portion, Values},
    context::Context,
    networks::{Networks, check_finite},
    trunk::SharedTrunk,
    waveform::{Chunks, Waveform, check_samples},
    windows::Windows,
};
