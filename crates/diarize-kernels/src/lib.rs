//! The custom operations of diarize, one folder per operation: formula, shapes and dispatch in
//! `mod.rs`, the plain implementation in `reference.rs`, the fast one for processors in `cpu.rs`.
//!
//! Operations on tensors are `CustomOp`s of candle: on a device for which one has no kernel it is an
//! error that names the operation, never a silent copy to the CPU.

pub mod cdist;
pub mod conv2d;
pub mod device;
pub mod fbank;
pub mod gpu;
pub mod kmeans;
pub mod linkage;
pub mod lstm;
pub mod mel;
pub mod pool_norm;
pub mod simd;
pub mod stft;

use candle_core::{CpuStorage, Layout, Result, bail};

/// The values of a contiguous f32 tensor on the CPU.
fn contiguous_f32<'a>(storage: &'a CpuStorage, layout: &Layout, op: &str) -> Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else {
        bail!("{op}: the input is not f32");
    };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("{op}: the input is not contiguous"),
    }
}

/// Memory for values that are then all written. To fill it with zeros first would take as long as some of
/// the operations do.
///
/// # Safety
/// No value may be read before it is written.
#[expect(clippy::uninit_vec, reason = "what the caller promises")]
unsafe fn unwritten(length: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(length);
    // SAFETY: there is room for so many, and any bits are a number.
    unsafe { values.set_len(length) };
    values
}
